package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// side is one of the two sides of a measure: what came out of each round.
type side []float64

// median of the rounds; 0 for none.
func (s side) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

func (s side) text(unit string) string {
	return fmt.Sprintf("%s (%s–%s) %s", number(s.median()), number(slices.Min(s)), number(slices.Max(s)), unit)
}

func number(f float64) string {
	if f < 10 {
		return fmt.Sprintf("%.2g", f)
	}
	return fmt.Sprintf("%.0f", f)
}

// row is a measure: the floor's side and Strato's, in the same unit.
type row struct {
	what, floorIs string
	unit          string
	floor, strato side
	// floorCPU and stratoCPU are the servers' processor time for one, in µs, the
	// driver's left out; empty where it was not taken.
	floorCPU, stratoCPU side
	// aim bounds the ratio: from below for rates, from above for times.
	aim  float64
	rate bool
}

// ratio of the medians, Strato's to the floor's.
func (r row) ratio() float64 { return r.strato.median() / r.floor.median() }

func (r row) verdict() string {
	switch {
	case r.aim == 0:
		return ""
	case r.rate && r.ratio() >= r.aim, !r.rate && r.ratio() <= r.aim:
		return "met"
	}
	return "missed"
}

func (r row) aimText() string {
	switch {
	case r.aim == 0:
		return "–"
	case r.rate:
		return fmt.Sprintf("≥ %.1f", r.aim)
	}
	return fmt.Sprintf("≤ %.1f", r.aim)
}

// cpu compares the servers' processor time for one.
func (r row) cpu() string {
	if r.floorCPU.median() == 0 {
		return "–"
	}
	return fmt.Sprintf("%s : %s (%.2f)", number(r.stratoCPU.median()), number(r.floorCPU.median()), r.floorCPU.median()/r.stratoCPU.median())
}

// report prints the table as Markdown: medians, with the rounds' range.
func report(out io.Writer, machine string, table []row) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "%s\n\n", machine)
	fmt.Fprintln(w, "| measure | Strato | floor | the floor is | ratio | aim | | CPU for one, µs |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
	for _, r := range table {
		fmt.Fprintf(w, "| %s | %s | %s | %s | **%.2f** | %s | %s | %s |\n",
			r.what, r.strato.text(r.unit), r.floor.text(r.unit), r.floorIs, r.ratio(), r.aimText(), r.verdict(), r.cpu())
	}
	return w.Flush()
}

// machine says on what and when the figures came about.
func (w *world) machine(ctx context.Context) string {
	version := ""
	_ = w.admin.QueryRow(ctx, "show server_version").Scan(&version) // a footnote
	load, _, _ := strings.Cut(firstLine("/proc/loadavg", ""), " ")
	return fmt.Sprintf("%s · %s, %d cores, %s · PostgreSQL %s, fsync on · %s · load %s before, %s after · %d clients, %d rounds of %s",
		time.Now().UTC().Format("2006-01-02 15:04 MST"), cpu(), runtime.NumCPU(), memory(), version, runtime.Version(), w.loadBefore, load,
		w.clients, w.rounds, w.length)
}

func cpu() string {
	_, name, found := strings.Cut(firstLine("/proc/cpuinfo", "model name"), ":")
	if !found {
		return runtime.GOOS + "/" + runtime.GOARCH
	}
	return strings.TrimSpace(name)
}

func memory() string {
	var kib int
	if _, err := fmt.Sscanf(firstLine("/proc/meminfo", "MemTotal"), "MemTotal: %d kB", &kib); err != nil {
		return "memory unknown"
	}
	return fmt.Sprintf("%d GiB", (kib+1<<19)>>20)
}

// firstLine of a file that begins with a prefix; empty if there is none.
func firstLine(path, prefix string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, prefix) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
