package host

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/time/rate"

	"github.com/stratohub/strato/sdk/internal/redact"
)

// Bounds of what a plugin may write.
const (
	tailLines     = 200
	maxLine       = 32 << 10
	linesPerSec   = 200
	linesAtOnce   = 1000
	maxLineInTail = 2 << 10
	// Of a crash the beginning tells most: the stacks of a busy process fill
	// hundreds of lines.
	crashLines  = 150
	beforeCrash = 30
)

// output takes what a process writes: JSON lines go to the core's log with
// their level and fields, everything else as warnings, and the last lines are
// kept for the incident. Secrets are masked first.
type output struct {
	log      *slog.Logger
	secrets  *redact.Set
	limit    *rate.Limiter
	finished chan struct{} // closed when the process's stderr has been read

	mu      sync.Mutex
	count   int
	tail    []written // the last lines
	crash   []written // the first lines of a crash, and some before
	cause   Cause     // what the lines tell of the end; empty for nothing
	dropped int
}

// written is a line with its place among all.
type written struct {
	at   int
	text string
}

func newOutput(log *slog.Logger, secrets *redact.Set) *output {
	return &output{log: log, secrets: secrets, limit: rate.NewLimiter(linesPerSec, linesAtOnce), finished: make(chan struct{})}
}

// read takes all lines until the process is gone, and closes r.
func (o *output) read(r io.ReadCloser, pid int) {
	defer close(o.finished)
	defer func() { _ = r.Close() }()
	log := o.log.With("pid", pid)
	b := bufio.NewReaderSize(r, maxLine)
	for {
		line, more, err := b.ReadLine()
		if len(line) > 0 {
			o.line(log, string(line))
		}
		for more && err == nil { // the rest of a line too long
			_, more, err = b.ReadLine()
		}
		if err != nil {
			return
		}
	}
}

// line takes one line.
func (o *output) line(log *slog.Logger, text string) {
	text = o.secrets.String(text)
	o.mu.Lock()
	o.keep(text)
	level := slog.LevelWarn
	if o.cause != "" {
		level = slog.LevelError
	}
	if !o.limit.Allow() {
		o.dropped++
		o.mu.Unlock()
		return
	}
	dropped := o.dropped
	o.dropped = 0
	o.mu.Unlock()
	if dropped > 0 {
		log.Warn("the plugin writes too much; lines were left out", "lines", dropped)
	}
	if !forward(log, text) {
		log.Log(context.Background(), level, text) //nolint:sloglint // the words are the plugin's
	}
}

// keep remembers a line for an incident. The lock is held.
func (o *output) keep(text string) {
	line := written{o.count, text[:min(len(text), maxLineInTail)]}
	o.count++
	if c := causeOf(text); c != "" && o.cause != CauseMemory {
		o.cause = c
	}
	if o.cause != "" {
		if o.crash == nil {
			o.crash = slices.Clone(o.tail[max(len(o.tail)-beforeCrash, 0):])
		}
		if len(o.crash) < crashLines {
			o.crash = append(o.crash, line)
		}
	}
	o.tail = append(o.tail, line)
	if len(o.tail) > 2*tailLines {
		o.tail = slices.Clone(o.tail[len(o.tail)-tailLines:])
	}
}

// causeOf tells what a line of the Go runtime says of the end.
func causeOf(line string) Cause {
	begins := func(prefixes ...string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(line, p) })
	}
	switch {
	case begins("runtime: out of memory", "runtime: cannot allocate memory", "fatal error: out of memory",
		"fatal error: runtime: out of memory", "runtime/cgo: pthread_create failed"):
		return CauseMemory
	case begins("panic: ", "fatal error: ", "SIGABRT: ", "SIGSEGV: ", "SIGBUS: ", "SIGQUIT: ", "runtime: "):
		return CauseCrash
	}
	return ""
}

// forward logs a JSON line as the record that it is. It reports whether it was one.
func forward(log *slog.Logger, text string) bool {
	var fields map[string]any
	if len(text) < 2 || text[0] != '{' || json.Unmarshal([]byte(text), &fields) != nil {
		return false
	}
	take := func(keys ...string) string {
		for _, k := range keys {
			if v, ok := fields[k].(string); ok {
				delete(fields, k)
				return v
			}
		}
		return ""
	}
	message := take("msg", "@message")
	var level slog.Level
	if level.UnmarshalText([]byte(take("level", "@level"))) != nil {
		level = slog.LevelInfo
	}
	_ = take("time", "@timestamp")
	_ = take("@module")
	// What the host says of the line is not the plugin's to say.
	for _, k := range []string{"plugin", "version", "pid"} {
		delete(fields, k)
	}
	attrs := make([]slog.Attr, 0, len(fields))
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		attrs = append(attrs, slog.Any(k, fields[k]))
	}
	log.LogAttrs(context.Background(), level, message, attrs...) //nolint:sloglint // the words are the plugin's
	return true
}

// last returns the last lines, with the beginning of a crash, and what they
// tell of the end. They are masked once more: a secret may have become known
// after its line.
func (o *output) last() ([]string, Cause) {
	o.mu.Lock()
	defer o.mu.Unlock()
	lines := slices.Clone(o.crash)
	for _, l := range o.tail[max(len(o.tail)-tailLines+len(lines), 0):] {
		if len(lines) == 0 || l.at > lines[len(lines)-1].at {
			lines = append(lines, l)
		}
	}
	out := make([]string, len(lines))
	for i := range lines {
		out[i] = o.secrets.String(lines[i].text)
	}
	return out, o.cause
}

// stray takes what the plugin printed instead of logging.
func (o *output) stray(stream string) io.Writer {
	return strayWriter{log: o.log.With("stream", stream), output: o}
}

type strayWriter struct {
	log    *slog.Logger
	output *output
}

// Write implements [io.Writer].
func (w strayWriter) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			w.output.line(w.log, line)
		}
	}
	return len(b), nil
}
