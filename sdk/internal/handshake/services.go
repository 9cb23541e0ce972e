package handshake

// TokenKey is the metadata in which a plugin shows the capability of the call
// that it works on.
const TokenKey = "strato-host-token" //nolint:gosec // the name of a field, not what it carries

// features are the host's services by the names under which a host tells of
// them at the start.
var features = map[string]string{
	"strato.host.v1.StateService":  "state",
	"strato.host.v1.SecretService": "secrets",
	"strato.host.v1.BlobService":   "blobs",
	"strato.host.v1.EventService":  "events",
}

// Feature is the name under which a host tells of a service, empty for one that
// is not known.
func Feature(service string) string { return features[service] }
