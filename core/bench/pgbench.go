package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/template"

	"github.com/stratohub/strato/core/internal/postgres"
)

// The floor's scripts are templates: pgbench's own variables hold numbers only.
var (
	//go:embed seed.sql
	seedSQL string
	//go:embed accept.sql
	acceptSQL string
	//go:embed receive.sql
	receiveSQL string
)

// findPgbench looks where PostgreSQL's programs lie.
func findPgbench() (string, error) {
	patterns := []string{"/usr/lib/postgresql/*/bin/pgbench", "/usr/pgsql-*/bin/pgbench", "/opt/homebrew/opt/postgresql@*/bin/pgbench"}
	if folder := os.Getenv("STRATO_POSTGRES_BIN"); folder != "" {
		patterns = []string{filepath.Join(folder, "pgbench")}
	}
	for _, pattern := range patterns {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	path, err := exec.LookPath("pgbench")
	if err != nil {
		return "", errors.New("there is no pgbench. Install PostgreSQL (Debian, Ubuntu: apt-get install postgresql), or set STRATO_POSTGRES_BIN to the folder that has it")
	}
	return filepath.EvalSymlinks(path)
}

// floor is what pgbench runs.
type floor struct {
	accept, receive string

	Tenant, Installation string
	Delivery, Result     string // of a real webhook, as bytea literals
	Customers            int
}

// newFloor fills the floor's database with as many customers as Strato's, and
// writes the scripts. The inbox's rows are copies of one that Strato wrote.
func (w *world) newFloor(ctx context.Context) (*floor, error) {
	f := &floor{Tenant: "00000001-0000-7000-8000-000000000000", Installation: "00000002-0000-7000-8000-000000000000", Customers: w.customers}
	var delivery, result []byte
	err := w.admin.QueryRow(ctx, `
		select delivery, result from crm.inbox where tenant_id = $1 and plugin = $2 and result is not null
		order by received_at desc limit 1`, w.account.tenant, plugin).Scan(&delivery, &result)
	if err != nil {
		return nil, fmt.Errorf("read a webhook that Strato stored: %w", err)
	}
	f.Delivery, f.Result = `'\x`+hex.EncodeToString(delivery)+"'", `'\x`+hex.EncodeToString(result)+"'"
	seed, err := f.render(seedSQL)
	if err != nil {
		return nil, err
	}
	pool, err := postgres.NewPool(ctx, w.floorURL, postgres.PoolConfig{MaxConns: 2})
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, seed); err != nil {
		return nil, fmt.Errorf("fill the floor's database: %w", err)
	}
	if f.accept, err = f.render(acceptSQL); err != nil {
		return nil, err
	}
	f.receive, err = f.render(receiveSQL)
	return f, err
}

func (f *floor) render(text string) (string, error) {
	t, err := template.New("").Funcs(template.FuncMap{
		// id makes a row's id from a kind and pgbench's or generate_series' number.
		"id": func(kind int, number string) string {
			return fmt.Sprintf("('%08d-0000-7000-8000-' || lpad((%s)::text, 12, '0'))::uuid", kind, number)
		},
	}).Parse(text)
	if err != nil {
		return "", fmt.Errorf("read a script: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, f); err != nil {
		return "", fmt.Errorf("write a script: %w", err)
	}
	return b.String(), nil
}

var (
	rateLine   = regexp.MustCompile(`(?m)^tps = ([0-9.]+) \(without initial connection time\)`)
	countLine  = regexp.MustCompile(`(?m)^number of transactions actually processed: ([0-9]+)`)
	failedLine = regexp.MustCompile(`(?m)^number of failed transactions: ([0-9]+)`)
)

// runPgbench runs a script with prepared statements, as the role that Strato
// does this work in, and returns transactions per second and their number.
func (w *world) runPgbench(ctx context.Context, name, script string) (float64, int, error) {
	role := postgres.RoleApp
	if name == "accept" {
		role = postgres.RoleIngest
	}
	raw, err := postgres.RoleURL(w.floorURL, role, w.roleKey)
	if err != nil {
		return 0, 0, err
	}
	u, err := url.Parse(raw)
	if err != nil {
		return 0, 0, err
	}
	path := filepath.Join(w.folder, name+".sql")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		return 0, 0, err
	}
	password, _ := u.User.Password()
	cmd := exec.CommandContext(ctx, w.pgbench, "--no-vacuum", "--protocol=prepared", "--file="+path,
		"--client="+strconv.Itoa(w.clients), "--jobs=2", "--time="+strconv.Itoa(int(w.length.Seconds())),
		"--host="+u.Hostname(), "--port="+u.Port(), "--username="+u.User.Username(), strings.TrimPrefix(u.Path, "/"))
	cmd.Env = []string{"PGPASSWORD=" + password, "PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("pgbench: %w\n%s", err, out)
	}
	return rateOf(string(out))
}

// rateOf reads what pgbench printed.
func rateOf(out string) (float64, int, error) {
	if failed := failedLine.FindStringSubmatch(out); failed != nil && failed[1] != "0" {
		return 0, 0, fmt.Errorf("pgbench: %s transactions failed\n%s", failed[1], out)
	}
	rate, count := rateLine.FindStringSubmatch(out), countLine.FindStringSubmatch(out)
	if rate == nil || count == nil {
		return 0, 0, fmt.Errorf("pgbench printed no rate:\n%s", out)
	}
	perSecond, err := strconv.ParseFloat(rate[1], 64)
	if err != nil {
		return 0, 0, fmt.Errorf("pgbench: %w", err)
	}
	n, err := strconv.Atoi(count[1])
	return perSecond, n, err
}
