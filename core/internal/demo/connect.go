package demo

import (
	"context"
	"encoding/json"

	"github.com/stratohub/strato/core/internal/app"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/simulation"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/simulator"
)

// line is something a customer says.
type line struct{ phone, name, text string }

// The first customers. Numbers are of ranges that nobody has.
var (
	acmeLines = []line{
		{"5491155500101", "Lucía Ferreyra", "Hola! Vi el 3 ambientes de Acoyte al 400 en Caballito. ¿Sigue disponible? ¿Aceptan mascotas?"},
		{"5491155500102", "Martín Ocampo", "Buenas tardes, busco 2 ambientes en Palermo o Villa Crespo, hasta USD 130.000, con balcón"},
		{"5491155500103", "Sofía Benítez", "Hola, quiero tasar mi casa en Villa Urquiza. ¿Cómo es el trámite?"},
		{"5491155500104", "Julián Paredes", "¿El monoambiente de Av. Córdoba es apto crédito?"},
	}
	norteLines = []line{
		{"5493815500201", "Carla Medina", "Hola, consulto por la casa de Yerba Buena, ¿cuánto son las expensas?"},
		{"5493815500202", "Ramiro Albornoz", "Buen día, busco alquiler de 2 dormitorios cerca de la plaza Independencia"},
	}
)

// connect gives an agency an installation of a simulated provider, and tells the
// simulator where the agency's webhooks go. It reports whether the installation
// is new.
func (w *World) connect(ctx context.Context, a *app.App, t tenant.Tenant, s *simulation.Simulator) (bool, error) {
	n, fresh, err := w.installation(ctx, a, t, s.Plugin)
	if err != nil {
		return false, err
	}
	account, err := s.Account(ctx, simulator.AccountRequest{Label: t.Slug, WebhookURL: a.URL() + pathOf(n.WebhookURL)})
	if err != nil {
		return false, err
	}
	if n.Revision > 0 {
		return false, nil
	}
	w.progress("connecting " + t.Name + " to " + s.Plugin)
	submitted, err := json.Marshal(account.Settings)
	if err != nil {
		return false, err
	}
	_, err = a.SaveSettings(ctx, installation.Target{Tenant: t.ID, Installation: n.ID}, submitted, n.Version)
	return fresh, err
}

// installation is the agency's installation of a plugin, made if it has none.
func (w *World) installation(ctx context.Context, a *app.App, t tenant.Tenant, plugin string) (*installation.Installation, bool, error) {
	var list []installation.Installation
	err := a.Pool.Read(ctx, t.ID, func(ctx context.Context, s tenant.Scope) (err error) {
		list, err = installation.List(ctx, s)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	for i := range list {
		if list[i].Plugin == plugin {
			return &list[i], false, nil
		}
	}
	n, err := a.Install(ctx, t.ID, plugin, "")
	return n, true, err
}

// play lets the first customers write, each by one of the channels in turn. A
// simulator whose customers cannot write is left alone.
func (w *World) play(ctx context.Context, t tenant.Tenant, list []*simulation.Simulator, lines []line) {
	if len(list) == 0 {
		return
	}
	w.progress("the first customers write to " + t.Name)
	for n, l := range lines {
		var err error
		for k := range list {
			s := list[(n+k)%len(list)]
			if _, err = s.Say(ctx, map[string]string{"to": t.Slug, "from": l.phone, "name": l.name, "text": l.text}); err == nil {
				break
			}
		}
		if err != nil {
			w.log.WarnContext(ctx, "a demo customer could not write", "tenant", t.Slug, "error", err)
		}
	}
}
