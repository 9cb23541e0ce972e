package handshake

// ReattachEnv names what a plugin that is debugged prints, and what its
// developer hands to a host: a JSON object of [Reattach] by plugin.
const ReattachEnv = "STRATO_REATTACH"

// Reattach says where a plugin listens that nobody supervises.
type Reattach struct {
	Protocol int    `json:"protocol"`
	PID      int    `json:"pid"`
	Network  string `json:"network"`
	Address  string `json:"address"`
}
