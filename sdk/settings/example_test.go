package settings_test

import (
	"fmt"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/settings"
)

// Decode puts secrets back where the form had them.
func ExampleDecode() {
	var c struct {
		Account string `json:"account"`
		Hook    struct {
			Secret string `json:"secret"`
		} `json:"hook"`
	}
	err := settings.Decode(sdk.Installation{
		Settings: []byte(`{"account": "acme", "hook": {}}`),
		Secrets:  map[string]string{"/hook/secret": "hush"},
	}, &c)
	fmt.Println(c.Account, c.Hook.Secret, err)
	// Output: acme hush <nil>
}

// The tags of a struct are the schema of a form.
func ExampleSchemaOf() {
	type config struct {
		Token string `json:"token" settings:"required,secret,min=8" title:"Token"`
		Speed int    `json:"speed" settings:"min=1,max=3"`
	}
	document, err := settings.SchemaOf(config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	schema, err := settings.Compile(document)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("secrets:", schema.Secrets())
	for _, d := range schema.Validate([]byte(`{"token": "long enough", "speed": 4}`)) {
		fmt.Println(d.Pointer, d.Summary)
	}
	// Output:
	// secrets: [/token]
	// /speed must be at most 3
}

// Parse reads a manifest and tells everything that is wrong with it at once.
func ExampleParse() {
	_, err := settings.Parse([]byte(`{
		"id": "acme", "version": "1.0.0", "protocol": 1, "capabilities": ["smoke_signals"],
		"settings_version": 1, "settings_schema": {"type": "object"}
	}`))
	fmt.Println(err)
	// Output:
	// manifest: name is missing
	// capability "smoke_signals" is not known
}
