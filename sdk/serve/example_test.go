package serve_test

import (
	"context"
	"fmt"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/serve"
	"github.com/stratohub/strato/sdk/settings"
)

// config is what a tenant fills in; its tags are the schema of the form.
type config struct {
	Greeting string `json:"greeting" settings:"required,max=40" title:"Greeting" title.es:"Saludo"`
	Token    string `json:"token" settings:"required,secret,min=8" title:"Access token" title.es:"Token de acceso"`
}

// parrot serves one installation. It keeps what calls need and nothing of
// other tenants.
type parrot struct {
	config config
	said   *serve.Metric
}

// newParrot makes the instance of one installation.
func newParrot(_ context.Context, i sdk.Installation, env serve.Env) (*parrot, error) {
	p := &parrot{said: env.Metrics.Counter("said_total", "Messages said.")}
	if err := settings.Decode(i, &p.config); err != nil {
		return nil, err
	}
	return p, nil
}

// Send makes the parrot a channel.
func (p *parrot) Send(_ context.Context, m sdk.Message) (sdk.Receipt, error) {
	text, ok := m.Content.(sdk.Text)
	if !ok {
		return sdk.Receipt{}, failure.New(failure.Unsupported, "a parrot only says text")
	}
	p.said.Inc()
	return sdk.Receipt{ProviderMessageID: p.config.Greeting + " " + text.Body}, nil
}

// plugin is what the program's main gives to [serve.Main]. The manifest is
// usually a file, embedded.
func plugin() serve.Plugin[*parrot] {
	return serve.Plugin[*parrot]{
		Manifest: []byte(`{
			"id": "parrot", "name": "Parrot", "version": "0.1.0", "protocol": 1,
			"capabilities": ["channel"], "settings_version": 1, "content_kinds": ["text"]
		}`),
		Settings: config{},
		New:      newParrot,
	}
}

// A plugin is a type with the methods of its capabilities. Its program has one line:
//
//	func main() { serve.Main(plugin()) }
//
// Tests need no process: they make an instance and call it.
func Example() {
	ctx := context.Background()
	p, err := plugin().New(ctx, sdk.Installation{
		Settings: []byte(`{"greeting": "Hola,"}`),
		Secrets:  map[string]string{"/token": "a-token-of-the-provider"},
	}, serve.Env{})
	if err != nil {
		fmt.Println(err)
		return
	}
	receipt, err := p.Send(ctx, sdk.Message{Content: sdk.Text{Body: "Ana"}})
	fmt.Println(receipt.ProviderMessageID, err)
	_, err = p.Send(ctx, sdk.Message{Content: sdk.Location{}})
	fmt.Println(err)
	// Output:
	// Hola, Ana <nil>
	// unsupported: a parrot only says text
}
