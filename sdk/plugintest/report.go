package plugintest

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/stratohub/strato/sdk/settings"
)

// Result is what became of one check.
type Result struct {
	Group, Check string
	// Skipped says why the check was not made; empty if it was.
	Skipped string
	// Err is nil if the plugin passed.
	Err error
}

// Name is "group/check".
func (r Result) Name() string { return r.Group + "/" + r.Check }

// state is "ok", "skip" or "FAIL".
func (r Result) state() string {
	switch {
	case r.Skipped != "":
		return "skip"
	case r.Err != nil:
		return "FAIL"
	}
	return "ok"
}

// MarshalJSON writes the state and the reason for it.
func (r Result) MarshalJSON() ([]byte, error) {
	out := struct {
		Check string `json:"check"`
		State string `json:"state"`
		Why   string `json:"why,omitempty"`
	}{r.Name(), strings.ToLower(r.state()), r.Skipped}
	if r.Err != nil {
		out.Why = r.Err.Error()
	}
	return json.Marshal(out)
}

// Report is what became of all checks, in their order.
type Report struct {
	Plugin       string                `json:"plugin"`
	Version      string                `json:"version"`
	Capabilities []settings.Capability `json:"capabilities"`
	// SHA256 is the digest in hex of the binary that was tried; empty in process.
	SHA256  string   `json:"sha256,omitempty"`
	Results []Result `json:"checks"`
}

// Failed lists the checks that the plugin did not pass.
func (r Report) Failed() []Result {
	var failed []Result
	for _, one := range r.Results {
		if one.Err != nil {
			failed = append(failed, one)
		}
	}
	return failed
}

// Print writes the report as a table, and a matrix of groups and what became of
// their checks.
func (r Report) Print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, one := range r.Results {
		why := one.Skipped
		if one.Err != nil {
			why = strings.ReplaceAll(one.Err.Error(), "\n", "; ")
		}
		if _, err := fmt.Fprintf(table, "%s\t%s\t%s\n", one.state(), one.Name(), why); err != nil {
			return err
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return r.printMatrix(w)
}

func (r Report) printMatrix(w io.Writer) error {
	names := make([]string, len(r.Capabilities))
	for i, c := range r.Capabilities {
		names[i] = string(c)
	}
	if _, err := fmt.Fprintf(w, "\n%s %s, which can: %s\n", r.Plugin, r.Version, strings.Join(names, ", ")); err != nil {
		return err
	}
	var groups []string
	counts := map[string]map[string]int{}
	for _, one := range r.Results {
		if counts[one.Group] == nil {
			counts[one.Group] = map[string]int{}
			groups = append(groups, one.Group)
		}
		counts[one.Group][one.state()]++
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "group\tok\tskip\tFAIL\t") // Flush tells
	for _, g := range groups {
		_, _ = fmt.Fprintf(table, "%s\t%d\t%d\t%d\t\n", g, counts[g]["ok"], counts[g]["skip"], counts[g]["FAIL"])
	}
	return table.Flush()
}
