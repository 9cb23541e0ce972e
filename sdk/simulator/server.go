package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Announcement tells where a simulator listens. It is the line that serve
// prints, and the content of the file that STRATO_SIMULATOR names.
type Announcement struct {
	Addr    string `json:"addr"`
	BaseURL string `json:"base_url"`
}

// Server is a running simulator.
type Server struct {
	Announcement
	provider Provider
	http     *http.Server
	done     chan error
}

// Start serves p and its control API at addr, which must be of this machine;
// port 0 takes any. Stop the server to close p.
func Start(ctx context.Context, p Provider, addr string) (*Server, error) {
	if !isLoopback(addr) {
		return nil, fmt.Errorf("a simulator gives secrets away, so it listens on this machine only, not on %s", addr)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("the simulator cannot listen: %w", err)
	}
	at := l.Addr().String()
	s := &Server{
		Announcement: Announcement{Addr: at, BaseURL: "http://" + at},
		provider:     p,
		http:         &http.Server{Handler: Handler(p), ReadHeaderTimeout: 10 * time.Second},
		done:         make(chan error, 1),
	}
	go func() { s.done <- s.http.Serve(l) }()
	return s, nil
}

// Line is the announcement as one line of JSON.
func (s *Server) Line() []byte {
	line, _ := json.Marshal(s.Announcement) // two strings always marshal
	return append(line, '\n')
}

// Stop closes the provider and ends the server. Requests that hang on purpose
// are cut off.
func (s *Server) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := s.provider.Close()
	if s.http.Shutdown(ctx) != nil {
		err = errors.Join(err, s.http.Close())
	}
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
