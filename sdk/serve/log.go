package serve

import (
	"io"
	"log/slog"

	"github.com/stratohub/strato/sdk/internal/redact"
)

// maskSecrets remembers the secrets of this many installations, to mask them in the log.
const maskSecrets = 2048

// newLog writes one JSON line per record, with every known secret masked, so
// that neither a careless author nor a panic gives one away.
func newLog(w io.Writer, level slog.Leveler, secrets *redact.Set) *slog.Logger {
	return slog.New(slog.NewJSONHandler(&maskingWriter{w: w, secrets: secrets}, &slog.HandlerOptions{Level: level}))
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
