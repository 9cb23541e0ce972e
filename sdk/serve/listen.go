package serve

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/hashicorp/go-plugin"

	"github.com/stratohub/strato/sdk/internal/handshake"
	"github.com/stratohub/strato/sdk/settings"
)

// Listening is a plugin that is served in this process, over a real socket, for
// tests that want the race detector, a debugger or coverage to see the plugin
// and its host at once. Hosts attach to it as they do to one that runs with
// -debug. Close it in the end.
type Listening struct {
	// Manifest is the whole manifest, the schema of a settings struct included.
	Manifest []byte
	// Reattach is what a program with -debug prints, for hosts.
	Reattach string

	close func()
	ended <-chan struct{} // closed when it serves no more
}

// Close ends the serving and closes all instances. It may be called once.
func (l *Listening) Close() { l.close() }

// Listen serves p in this process until the result is closed. The plugin logs
// to log, in lines of JSON.
func (p Plugin[T]) Listen(log io.Writer) (*Listening, error) {
	p, m, err := prepare(p)
	if err != nil {
		return nil, err
	}
	return listen(p, m, log)
}

func listen[T any](p Plugin[T], m *settings.Manifest, log io.Writer) (*Listening, error) {
	s, err := newServer(p, m, log)
	if err != nil {
		return nil, err
	}
	s.debugged = true
	ctx, cancel := context.WithCancel(context.Background())
	listening, ended := make(chan *plugin.ReattachConfig, 1), make(chan struct{})
	go func() {
		defer close(ended)
		c := serveConfig(s, log)
		c.Test = &plugin.ServeTestConfig{Context: ctx, ReattachConfigCh: listening}
		plugin.Serve(c)
	}()
	stop := func() {
		cancel()
		<-ended
		closing, done := context.WithTimeout(context.Background(), closeTimeout)
		defer done()
		s.close(closing)
	}
	select {
	case at := <-listening:
		b, err := json.Marshal(map[string]handshake.Reattach{m.ID: {
			Protocol: at.ProtocolVersion, PID: at.Pid, Network: at.Addr.Network(), Address: at.Addr.String(),
		}})
		if err != nil {
			stop()
			return nil, err
		}
		return &Listening{Manifest: p.Manifest, Reattach: string(b), close: stop, ended: ended}, nil
	case <-ended:
		stop()
		return nil, errors.New("the plugin could not listen; its log says why")
	}
}
