package settings

import (
	"encoding/json"
	"fmt"

	"github.com/stratohub/strato/sdk"
)

// Decode puts an installation's secrets back into its settings and reads the
// whole into v, a pointer to a struct with json tags. Fields that the struct
// does not have are left out.
func Decode(i sdk.Installation, v any) error {
	document, err := Merge(i.Settings, i.Secrets)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(document, v); err != nil {
		// The error of encoding/json names fields and types, never a value.
		return fmt.Errorf("read settings: %w", err)
	}
	return nil
}
