package pluginhost

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/stratohub/strato/sdk/host"
)

const (
	// exitsCount is how long an unexpected end counts, as in the host's
	// quarantine; exitsMost how many of them take a fresh release back.
	exitsCount = 10 * time.Minute
	exitsMost  = 5
	// incidentsKept is how long incidents are kept.
	incidentsKept = 90 * 24 * time.Hour
)

// Incident is the unexpected end of a plugin's process, on any node.
type Incident struct {
	bun.BaseModel `bun:"table:control.plugin_incidents,alias:i"`

	ID      uuid.UUID `bun:",pk"`
	Plugin  string
	Version string
	SHA256  string `bun:"sha256"`
	Canary  bool
	// Shard is the installation that had the process for itself; empty for none.
	Shard    string
	Node     string
	At       time.Time
	Cause    string
	Detail   string
	ExitCode int
	Signal   string
	UptimeMS int64    `bun:"uptime_ms"`
	MaxRSS   int64    `bun:"max_rss"`
	Stderr   []string `bun:",array"`
	// InFlight are the calls that were under way.
	InFlight []host.CallInFlight `bun:"in_flight,type:jsonb"`
	Next     string
}

// Quarantine is a time in which a node did not start a release.
type Quarantine struct {
	Plugin         string
	SHA256         string `bun:"sha256"`
	Node           string
	BeganAt, Until time.Time
	Reason         string
	// EndedAt is zero while it lasts.
	EndedAt time.Time `bun:",nullzero"`
}

// NodeStatus is what a node last told of a plugin.
type NodeStatus struct {
	Node, Plugin  string
	Canary        bool
	Shard         string
	Version       string
	SHA256        string `bun:"sha256"`
	State, Reason string
	PID           int   `bun:"pid"`
	RSS           int64 `bun:"rss"`
	InFlight      int
	Since, SeenAt time.Time
}

// Incidents keeps what happened to plugins, on all nodes.
type Incidents struct{ DB *bun.DB }

// Add records an incident of a node, and tells the others.
func (s Incidents) Add(ctx context.Context, node string, i host.Incident) error {
	if i.Stderr == nil {
		i.Stderr = []string{}
	}
	calls, err := json.Marshal(append([]host.CallInFlight{}, i.InFlight...))
	if err != nil {
		return fmt.Errorf("encode calls in flight: %w", err)
	}
	return s.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw(`
			insert into control.plugin_incidents (id, plugin, version, sha256, canary, shard, node, at, cause, detail, exit_code, signal,
				uptime_ms, max_rss, stderr, in_flight, next)
			select ?, ?, ?, ?, ?, ?, ?, ?::timestamptz, ?, ?, ?, ?, ?, ?, ?, ?::jsonb, ?
			where not (? and exists (select 1 from control.plugin_incidents
				where plugin = ? and sha256 = ? and node = ? and cause = ? and detail = ? and at > now() - interval '1 hour'))`,
			uuid.Must(uuid.NewV7()), i.Plugin, i.Version, i.SHA256, i.Canary, i.Shard, node, i.At, string(i.Cause), clean(i.Summary()), i.ExitCode, i.Signal,
			i.Uptime.Milliseconds(), i.MaxRSS, pgdialect.Array(cleanAll(i.Stderr)), string(calls), i.Next.String(),
			// What may not run is tried again and again, and says the same each time.
			i.Cause == host.CauseRefused, i.Plugin, i.SHA256, node, string(i.Cause), clean(i.Summary())).Exec(ctx)
		if err != nil {
			return fmt.Errorf("record an incident of plugin %s: %w", i.Plugin, err)
		}
		return notify(ctx, tx, i.Plugin)
	})
}

// List returns a plugin's incidents, the newest first; of all plugins for an
// empty name.
func (s Incidents) List(ctx context.Context, plugin string, limit int64) ([]Incident, error) {
	list := []Incident{}
	q := s.DB.NewSelect().Model(&list).Order("at DESC").Limit(limit)
	if plugin != "" {
		q.Where("plugin = ?", plugin)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list incidents of plugins: %w", err)
	}
	return list, nil
}

// count counts the ends of a release that still count, on all nodes.
func (s Incidents) count(ctx context.Context, plugin, sum string) (n int, err error) {
	err = s.DB.NewRaw(`select count(*) from control.plugin_incidents where plugin = ? and sha256 = ? and at > ? and shard = ''`,
		plugin, sum, time.Now().Add(-exitsCount)).Scan(ctx, &n)
	return n, err
}

// exit is an end that a node did not see itself in this life.
type exit struct {
	Plugin string
	SHA256 string `bun:"sha256"`
	At     time.Time
}

// exits lists the ends that still count and that a node did not see since it
// started. What came before a quarantine's end is forgiven.
func (s Incidents) exits(ctx context.Context, node string, started time.Time) ([]exit, error) {
	list := []exit{}
	err := s.DB.NewRaw(`
		select plugin, sha256, at from control.plugin_incidents i
		where at > ? and (node <> ? or at < ?) and cause <> ? and i.shard = '' and not exists (
			select 1 from control.plugin_quarantines q
			where q.plugin = i.plugin and q.sha256 = i.sha256 and q.ended_at > i.at)
		order by at desc limit 1000`,
		time.Now().Add(-exitsCount), node, started, string(host.CauseRefused)).Scan(ctx, &list)
	return list, err
}

// Quarantines lists a plugin's, the newest first; of all plugins for an empty
// name, and only those that last if open is true.
func (s Incidents) Quarantines(ctx context.Context, plugin string, open bool, limit int64) ([]Quarantine, error) {
	list := []Quarantine{}
	q := s.DB.NewSelect().TableExpr("control.plugin_quarantines").
		Column("plugin", "sha256", "node", "began_at", "until", "reason", "ended_at").Order("began_at DESC").Limit(limit)
	if plugin != "" {
		q.Where("plugin = ?", plugin)
	}
	if open {
		q.Where("ended_at is null")
	}
	if err := q.Scan(ctx, &list); err != nil {
		return nil, fmt.Errorf("list quarantines of plugins: %w", err)
	}
	return list, nil
}

// begin records that a node holds a release in quarantine.
func (s Incidents) begin(ctx context.Context, node string, st host.Status) error {
	_, err := s.DB.NewRaw(`
		insert into control.plugin_quarantines (id, plugin, sha256, node, until, reason) values (?, ?, ?, ?, ?, ?)
		on conflict (node, plugin, sha256) where ended_at is null do update set until = excluded.until, reason = excluded.reason`,
		uuid.Must(uuid.NewV7()), st.Plugin, st.SHA256, node, st.Until, clean(st.Reason)).Exec(ctx)
	return err
}

// end records that a node's quarantine of a release is over.
func (s Incidents) end(ctx context.Context, node, plugin, sum string) error {
	_, err := s.DB.NewRaw(`update control.plugin_quarantines set ended_at = now()
		where node = ? and plugin = ? and sha256 = ? and ended_at is null`, node, plugin, sum).Exec(ctx)
	return err
}

// Forgive ends a plugin's quarantines on all nodes, and reports how many there
// were. The nodes try again at once, and count anew.
func (s Incidents) Forgive(ctx context.Context, plugin string) (int, error) {
	var n int64
	err := s.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		res, err := tx.NewRaw(`update control.plugin_quarantines set ended_at = now() where plugin = ? and ended_at is null`, plugin).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err = res.RowsAffected(); err != nil {
			return err
		}
		return notify(ctx, tx, plugin)
	})
	if err != nil {
		return 0, fmt.Errorf("end quarantines of plugin %s: %w", plugin, err)
	}
	return int(n), nil
}

// report records how the plugins of a node are.
func (s Incidents) report(ctx context.Context, node string, all []host.Status) error {
	return s.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewRaw(`delete from control.plugin_nodes where node = ?`, node).Exec(ctx); err != nil {
			return err
		}
		for _, st := range all {
			_, err := tx.NewRaw(`
				insert into control.plugin_nodes (node, plugin, canary, shard, version, sha256, state, reason, pid, rss, in_flight, since)
				values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
				node, st.Plugin, st.Canary, st.Shard, st.Version, st.SHA256, st.State.String(), clean(st.Reason), st.PID, st.RSS, st.InFlight, st.Since).Exec(ctx)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Nodes lists what runs where, as the nodes last told.
func (s Incidents) Nodes(ctx context.Context) ([]NodeStatus, error) {
	list := []NodeStatus{}
	err := s.DB.NewRaw(`select * from control.plugin_nodes where seen_at > now() - interval '1 day'
		order by plugin, canary, shard, node limit 10000`).Scan(ctx, &list)
	if err != nil {
		return nil, fmt.Errorf("list the nodes' plugins: %w", err)
	}
	return list, nil
}

// prune forgets what is old.
func (s Incidents) prune(ctx context.Context) error {
	_, err := s.DB.NewRaw(`
		with i as (delete from control.plugin_incidents where at < ?), n as (delete from control.plugin_nodes where seen_at < now() - interval '1 day')
		delete from control.plugin_quarantines where ended_at < ?`,
		time.Now().Add(-incidentsKept), time.Now().Add(-incidentsKept)).Exec(ctx)
	return err
}

// clean makes text of a plugin fit for the database.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}

func cleanAll(list []string) []string {
	out := make([]string, len(list))
	for n, s := range list {
		out[n] = clean(s)
	}
	return out
}
