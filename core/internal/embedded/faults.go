package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
)

// spaceless marks an error of a full disk, and says what to do about it.
func spaceless(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: free some space, or move the data folder with STRATO_DATA: %w", ErrDiskFull, err)
	}
	return err
}

// explain turns what a PostgreSQL program wrote before it ended into an error.
func explain(what, output string) error {
	reason := reasonIn(output)
	switch {
	case strings.Contains(output, "No space left on device"), strings.Contains(output, "Disk quota exceeded"):
		return fmt.Errorf("%s: %w: free some space, or move the data folder with STRATO_DATA (%s)", what, ErrDiskFull, reason)
	case strings.Contains(output, "Address already in use"):
		return fmt.Errorf("%s: %w: stop the program that listens there, or choose another port (%s)", what, ErrPortTaken, reason)
	case strings.Contains(output, "Permission denied"):
		return fmt.Errorf("%s: PostgreSQL may not use its files: %s. Check the owner of the data folder", what, reason)
	}
	return fmt.Errorf("%s: %s", what, reason)
}

// reasonIn picks the line that says why: the last that PostgreSQL marks as an
// error, else the last at all.
func reasonIn(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	for _, line := range slices.Backward(lines) {
		for _, mark := range []string{"FATAL:", "PANIC:", "error:", "ERROR:"} {
			if _, after, ok := strings.Cut(line, mark); ok {
				return strings.TrimSpace(after)
			}
		}
	}
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return last
	}
	return "it said nothing about why"
}

// readFrom returns what a log gained since it had the given size, at most the
// last 16 KiB.
func readFrom(path string, offset int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // only read
	const most = 16 << 10
	if info, err := f.Stat(); err == nil && info.Size()-offset > most {
		offset = info.Size() - most
	}
	b, _ := io.ReadAll(io.NewSectionReader(f, offset, most)) // what could be read is enough
	return string(b)
}
