package cli

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/stratohub/strato/core/internal/deadletter"
	"github.com/stratohub/strato/core/internal/pluginhost"
)

// happening is something in a plugin's past, with what there is to say of it.
type happening struct {
	at    time.Time
	line  string
	below []string
}

func (t *plugins) logs(ctx context.Context, plugin string, count int64) error {
	all, err := t.past(ctx, plugin, count)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		fmt.Fprintf(t.Out, "nothing happened to %s\n", plugin)
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].at.Before(all[j].at) })
	for _, h := range all {
		fmt.Fprintf(t.Out, "%s  %s\n", h.at.UTC().Format(time.RFC3339), h.line)
		for _, l := range h.below {
			fmt.Fprintf(t.Out, "    %s\n", l)
		}
	}
	return nil
}

func (t *plugins) past(ctx context.Context, plugin string, count int64) ([]happening, error) {
	var all []happening
	incidents, err := t.incidents.List(ctx, plugin, count)
	if err != nil {
		return nil, err
	}
	for _, i := range incidents {
		h := happening{at: i.At, line: fmt.Sprintf("node %s, %s (%s): %s; up %s, at most %d MiB, then %s",
			i.Node, i.Version, shortSum(i.SHA256), i.Detail, time.Duration(i.UptimeMS)*time.Millisecond, i.MaxRSS>>20, i.Next)}
		if i.Shard != "" {
			h.below = append(h.below, "the process of installation "+i.Shard)
		}
		for _, c := range i.InFlight {
			h.below = append(h.below, fmt.Sprintf("in flight: %s of installation %s, for %s", c.Method, c.Installation, c.Running.Round(time.Millisecond)))
		}
		for _, l := range i.Stderr {
			h.below = append(h.below, "| "+printable(l))
		}
		all = append(all, h)
	}
	quarantines, err := t.incidents.Quarantines(ctx, plugin, false, count)
	if err != nil {
		return nil, err
	}
	for _, q := range quarantines {
		until := "until " + q.Until.UTC().Format(time.RFC3339)
		if !q.EndedAt.IsZero() {
			until = "ended " + q.EndedAt.UTC().Format(time.RFC3339)
		}
		all = append(all, happening{at: q.BeganAt, line: fmt.Sprintf("node %s, %s: quarantined, %s: %s", q.Node, shortSum(q.SHA256), until, q.Reason)})
	}
	changes, err := t.pins.Changes(ctx, plugin, int(count))
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		who, before := "by hand", "nothing"
		if c.Automatic {
			who = "by itself"
		}
		if c.Before != "" {
			before = shortSum(c.Before)
		}
		line := fmt.Sprintf("pinned %s, before %s", shortSum(c.After), before)
		if c.After == "" {
			line = "unpinned " + before
		}
		if c.Canary != "" {
			line += ", canary " + shortSum(c.Canary)
		}
		all = append(all, happening{at: c.At, line: line + ", " + who + ": " + c.Reason})
	}
	return all, nil
}

// printable is a line that cannot command a terminal.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, line)
}

func (t *plugins) doctor(ctx context.Context) error {
	findings, err := t.examine(ctx)
	if err != nil {
		return err
	}
	bad := 0
	for _, f := range findings {
		sign, text := "ok  ", f.note
		if f.err != nil {
			sign, text = "FAIL", f.err.Error()
			bad++
		}
		fmt.Fprintf(t.Out, "%s  %-22s %s\n", sign, f.what, text)
	}
	if bad > 0 {
		return fmt.Errorf("%d of the checks failed", bad)
	}
	return nil
}

func (t *plugins) examine(ctx context.Context) ([]finding, error) {
	pins, err := t.pins.List(ctx)
	if err != nil {
		return nil, err
	}
	nodes, err := t.incidents.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	open, err := t.incidents.Quarantines(ctx, "", true, 1000)
	if err != nil {
		return nil, err
	}
	_, err = t.config.TrustedKeys()
	out := []finding{{what: "trusted keys", err: err, note: "can be read"}}
	if t.config.PluginUnsigned {
		out[0].note = "plugins that nobody signed are taken; that is for development"
	}
	for _, pin := range pins {
		for _, sum := range []string{pin.SHA256, pin.Previous, pin.Canary} {
			if sum != "" {
				out = append(out, t.examineRelease(pin, sum))
			}
		}
	}
	for _, n := range nodes {
		out = append(out, examineNode(n, pins))
	}
	out = append(out, t.examineDead(ctx))
	for _, q := range open {
		out = append(out, finding{what: q.Plugin, err: fmt.Errorf("node %s holds %s in quarantine until %s: %s",
			q.Node, shortSum(q.SHA256), q.Until.UTC().Format(time.RFC3339), q.Reason)})
	}
	return out, nil
}

func (t *plugins) examineDead(ctx context.Context) finding {
	f := finding{what: "dead letters", note: "none"}
	all, err := deadletter.Letters{Pool: t.pool}.List(ctx, "", 1000)
	if f.err = err; err == nil && len(all) > 0 {
		f.err = fmt.Errorf("%d were given up, the last at %s; see \"strato plugin dead list\"", len(all), all[0].At.UTC().Format(time.RFC3339))
	}
	return f
}

func (t *plugins) examineRelease(pin pluginhost.Pinned, sum string) finding {
	f := finding{what: pin.Plugin + " " + shortSum(sum), note: "is in this node's store"}
	if problem := pluginhost.Problem(t.store, pin.Plugin, sum); problem != "" {
		f.err = errors.New(problem)
	}
	return f
}

func examineNode(n pluginhost.NodeStatus, pins []pluginhost.Pinned) finding {
	f := finding{what: n.Plugin + " on " + n.Node, note: n.State + ", " + n.Version}
	if time.Since(n.SeenAt) > nodeLate {
		f.err = fmt.Errorf("the node is silent since %s", n.SeenAt.UTC().Format(time.RFC3339))
		return f
	}
	for _, p := range pins {
		if p.Plugin == n.Plugin && !n.Canary && n.Shard == "" && n.PID != 0 && n.SHA256 != p.SHA256 {
			f.err = fmt.Errorf("it runs %s (%s), but %s is pinned", n.Version, shortSum(n.SHA256), shortSum(p.SHA256))
		}
	}
	if f.err == nil && n.State == "refused" {
		f.err = fmt.Errorf("it is refused: %s", n.Reason)
	}
	return f
}
