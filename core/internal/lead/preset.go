package lead

import (
	"context"
	"fmt"

	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/tenant"
)

type presetStage struct {
	key, name string
	outcome   Status
}

type preset struct {
	key, name string
	stages    []presetStage
}

// presets are the pipelines an agency starts with; the first is its default.
// Names are what Argentine agencies say, and theirs to change.
var presets = []preset{
	{"search", "Búsqueda", []presetStage{
		{"new", "Nuevo", Open}, {"contacted", "Contactado", Open}, {"visiting", "En visitas", Open},
		{"negotiating", "En negociación", Open}, {"won", "Cerrado", Won}, {"lost", "Perdido", Lost},
	}},
	{"acquisition", "Captación", []presetStage{
		{"new", "Nuevo", Open}, {"contacted", "Contactado", Open}, {"appraised", "Tasado", Open},
		{"won", "Captado", Won}, {"lost", "Perdido", Lost},
	}},
	{"sale", "Operación de venta", []presetStage{
		{"reserved", "Reserva", Open}, {"agreed", "Boleto", Open}, {"won", "Escriturado", Won}, {"lost", "Caído", Lost},
	}},
	{"rent", "Alquiler", []presetStage{
		{"new", "Nuevo", Open}, {"visiting", "En visitas", Open}, {"guarantees", "Garantías", Open},
		{"won", "Firmado", Won}, {"lost", "Perdido", Lost},
	}},
	{"credit", "Crédito", []presetStage{
		{"new", "Nuevo", Open}, {"in_review", "En análisis", Open}, {"docs_pending", "Faltan papeles", Open},
		{"pre_approved", "Preaprobado", Won}, {"rejected", "Rechazado", Lost}, {"referred", "Derivado", Won},
	}},
}

// Seed gives a new tenant its pipelines. A tenant that has some is left alone.
func Seed(ctx context.Context, s tenant.Scope) error {
	n, err := s.Select((*Pipeline)(nil)).Count(ctx)
	if err != nil {
		return fmt.Errorf("count pipelines: %w", err)
	}
	if n > 0 {
		return nil
	}
	var pipelines []Pipeline
	var stages []Stage
	for i, p := range presets {
		row := Pipeline{ID: id.New[Pipeline](), Key: p.key, Name: p.name, IsDefault: i == 0, CreatedAt: s.Now()}
		pipelines = append(pipelines, row)
		for n, g := range p.stages {
			stages = append(stages, Stage{
				ID: id.New[Stage](), PipelineID: row.ID, Key: g.key, Name: g.name, Outcome: g.outcome,
				Position: n, CreatedAt: s.Now(),
			})
		}
	}
	if err := tenant.InsertAll(ctx, s, pipelines); err != nil {
		return fmt.Errorf("seed pipelines: %w", err)
	}
	if err := tenant.InsertAll(ctx, s, stages); err != nil {
		return fmt.Errorf("seed stages: %w", err)
	}
	return nil
}
