// Package trace carries W3C trace contexts: which call a line of a log belongs
// to, on both sides of the boundary between the core and its plugins.
package trace

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"strings"
)

// Header is the name of the header, and of the metadata of gRPC, that carries a
// trace context.
const Header = "traceparent"

// Context is a place in a trace. The zero Context is none.
type Context struct {
	// Trace is what everything that follows from one cause has in common; Call is
	// one step of it.
	Trace [16]byte
	Call  [8]byte
	// Sampled says that somebody upstream records the trace.
	Sampled bool
}

// New begins a trace. The numbers are told apart, not kept secret.
func New() Context {
	var c Context
	for c.Trace == ([16]byte{}) {
		binary.BigEndian.PutUint64(c.Trace[:8], rand.Uint64()) //nolint:gosec // no secret
		binary.BigEndian.PutUint64(c.Trace[8:], rand.Uint64()) //nolint:gosec // no secret
	}
	return c.Next()
}

// Next is a further call in the same trace; the zero Context begins one.
func (c Context) Next() Context {
	if c.Trace == ([16]byte{}) {
		return New()
	}
	for next := c.Call; ; {
		binary.BigEndian.PutUint64(next[:], rand.Uint64()) //nolint:gosec // no secret
		if next != ([8]byte{}) && next != c.Call {
			c.Call = next
			return c
		}
	}
}

// Valid reports whether it is a place in a trace.
func (c Context) Valid() bool { return c.Trace != [16]byte{} && c.Call != [8]byte{} }

// TraceID is the number of the trace in hex.
func (c Context) TraceID() string { return hex.EncodeToString(c.Trace[:]) }

// CallID is the number of the call in hex.
func (c Context) CallID() string { return hex.EncodeToString(c.Call[:]) }

// String is the header's value.
func (c Context) String() string {
	b := make([]byte, 0, 55)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, c.Trace[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, c.Call[:])
	if c.Sampled {
		return string(append(b, "-01"...))
	}
	return string(append(b, "-00"...))
}

// Attrs name the place in a log line.
func (c Context) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("trace", c.TraceID()), slog.String("call", c.CallID())}
}

// Parse reads the header's value. It is false for anything that is none.
func Parse(header string) (Context, bool) {
	var c Context
	// Versions after 00 may append to it, but not change what is there.
	if len(header) < 55 || header[2] != '-' || header[35] != '-' || header[52] != '-' || header != strings.ToLower(header) ||
		header[:2] == "ff" || (header[:2] == "00" && len(header) != 55) || (len(header) > 55 && header[55] != '-') {
		return c, false
	}
	var flags [1]byte
	var version [1]byte
	for _, part := range []struct {
		to   []byte
		text string
	}{{version[:], header[:2]}, {c.Trace[:], header[3:35]}, {c.Call[:], header[36:52]}, {flags[:], header[53:55]}} {
		if _, err := hex.Decode(part.to, []byte(part.text)); err != nil {
			return Context{}, false
		}
	}
	c.Sampled = flags[0]&1 != 0
	if !c.Valid() {
		return Context{}, false
	}
	return c, true
}

type key struct{}

// With returns a context in which calls belong to a trace.
func With(ctx context.Context, c Context) context.Context { return context.WithValue(ctx, key{}, c) }

// From returns the context's place in a trace, the zero Context for none.
func From(ctx context.Context) Context {
	c, _ := ctx.Value(key{}).(Context)
	return c
}
