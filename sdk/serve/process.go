package serve

import "github.com/stratohub/strato/sdk/settings"

// serve speaks with the host until it lets go.
func serve[T any](p Plugin[T], m *settings.Manifest) int { return 0 }
