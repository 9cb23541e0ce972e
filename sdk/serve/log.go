package serve

import (
	"context"
	"io"
	"log/slog"

	"github.com/stratohub/strato/sdk/internal/redact"
	"github.com/stratohub/strato/sdk/trace"
)

// maskSecrets remembers the secrets of this many installations, to mask them in the log.
const maskSecrets = 2048

// newLog writes one JSON line per record, with every known secret masked, so
// that neither a careless author nor a panic gives one away.
func newLog(w io.Writer, level slog.Leveler, secrets *redact.Set) *slog.Logger {
	return slog.New(callHandler{slog.NewJSONHandler(&maskingWriter{w: w, secrets: secrets}, &slog.HandlerOptions{Level: level})})
}

// callHandler names the host's call in the lines that are logged with its
// context, so that they are found beside the core's own.
type callHandler struct{ slog.Handler }

// Handle implements [slog.Handler].
func (h callHandler) Handle(ctx context.Context, r slog.Record) error {
	if c := trace.From(ctx); c.Valid() {
		r = r.Clone()
		r.AddAttrs(c.Attrs()...)
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h callHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return callHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h callHandler) WithGroup(name string) slog.Handler {
	return callHandler{h.Handler.WithGroup(name)}
}

// maskingWriter masks secrets in what the handler writes, a record at a time.
type maskingWriter struct {
	w       io.Writer
	secrets *redact.Set
}

// Write implements [io.Writer].
func (m *maskingWriter) Write(line []byte) (int, error) {
	if _, err := io.WriteString(m.w, m.secrets.String(string(line))); err != nil {
		return 0, err
	}
	return len(line), nil
}

// levelOf reads the host's word for a level; anything else is info.
func levelOf(word string) slog.Level {
	var l slog.Level
	if l.UnmarshalText([]byte(word)) != nil {
		return slog.LevelInfo
	}
	return l
}
