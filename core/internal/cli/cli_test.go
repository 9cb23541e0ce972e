package cli_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/cli"
	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/secret"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const password = "a long password"

// shell runs commands as a terminal would, with an environment of its own.
type shell struct {
	environ []string
	data    string
}

// outcome is what a command left behind.
type outcome struct {
	out, err string // what it wrote
	failure  error
	code     int // its exit code, if it failed
}

func newShell(t *testing.T, environ ...string) *shell {
	t.Helper()
	data := t.TempDir()
	return &shell{environ: append([]string{"PATH=" + os.Getenv("PATH"), "STRATO_DATA=" + data}, environ...), data: data}
}

// database is a shell whose commands use a server of their own: they set the
// passwords of its roles.
func database(t *testing.T) (*shell, *dbtest.Cluster) {
	t.Helper()
	c := dbtest.OwnCluster(t)
	url := c.AdminURL()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	for _, name := range []string{"strato", "norte"} {
		_, err := conn.Exec(t.Context(), "create database "+name)
		require.NoError(t, err)
	}
	return newShell(t, "STRATO_DATABASE_URL="+c.DatabaseURL("strato"), "STRATO_SECRET_KEYS=k1:"+base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32))), c
}

func (s *shell) run(t *testing.T, input string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	o := outcome{failure: cli.Run(ctx, args, cli.Streams{In: strings.NewReader(input), Out: &out, Err: &errs}, s.environ)}
	o.out, o.err = out.String(), errs.String()
	if o.failure != nil {
		o.code = cli.ExitCode(o.failure)
	}
	return o
}

// word is a key as the environment has it.
func word(letter string) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, 32)))
}

// seal has the first agency seal a secret, and returns what requires that other
// keys open it.
func seal(t *testing.T, c *dbtest.Cluster, keys string) (opens func(keys string)) {
	t.Helper()
	pool, err := postgres.NewPool(t.Context(), c.DatabaseURL("strato"), postgres.PoolConfig{MaxConns: 2})
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	db := postgres.OpenDB(pool, postgres.DBConfig{})
	t.Cleanup(func() { _ = db.Close() })
	box := func(keys string) *secret.Box {
		ring, err := secret.ParseRing(keys)
		require.NoError(t, err)
		return secret.NewBox(ring, secret.NewTable(db))
	}
	var agency uuid.UUID
	require.NoError(t, db.NewRaw("select id from control.tenants where slug = 'acme'").Scan(t.Context(), &agency))
	sealed, err := box(keys).Seal(t.Context(), agency, "test", []byte("EAAG"))
	require.NoError(t, err)
	return func(keys string) {
		plain, err := box(keys).Open(t.Context(), agency, "test", sealed)
		require.NoError(t, err)
		require.Equal(t, "EAAG", string(plain))
	}
}

// fails runs a command that is refused with these words.
func (s *shell) fails(t *testing.T, words, input string, args ...string) {
	t.Helper()
	o := s.run(t, input, args...)
	require.ErrorContains(t, o.failure, words, "%v", args)
	require.Equal(t, 1, o.code, "%v", args)
	require.NotContains(t, o.failure.Error()+o.out+o.err, "%!", "%v", args)
}

// succeeds runs a command and returns what it wrote.
func (s *shell) succeeds(t *testing.T, input string, args ...string) string {
	t.Helper()
	o := s.run(t, input, args...)
	require.NoError(t, o.failure, "%v: %s", args, o.err)
	return o.out
}

func TestAdministration(t *testing.T) {
	t.Parallel()

	s, c := database(t)
	s.fails(t, "", "", "tenant", "create", "acme", "--name", "Acme") // there is no schema yet
	require.Contains(t, s.succeeds(t, "", "migrate"), "1 databases are up to date")
	require.NotContains(t, s.succeeds(t, "", "migrate"), "applied")

	t.Run("agencies", func(t *testing.T) {
		require.Contains(t, s.succeeds(t, "", "tenant", "create", "acme", "--name", "Acme Propiedades"), "agency acme made (")
		s.fails(t, "tenant.slug_taken", "", "tenant", "create", "acme", "--name", "Otra")
		s.fails(t, "tenant.slug", "", "tenant", "create", "Acme!", "--name", "Otra")
		s.fails(t, `there is no plan "gold"`, "", "tenant", "create", "otra", "--name", "Otra", "--plan", "gold")
		s.fails(t, `there is no database "norte": take one of shared`, "", "tenant", "create", "norte", "--name", "Norte", "--database", "norte")
		s.fails(t, `required flag(s) "name" not set`, "", "tenant", "create", "otra")
		s.fails(t, "accepts 1 arg(s)", "", "tenant", "create")
	})

	t.Run("databases", func(t *testing.T) {
		s.fails(t, "give either --same or --file", "", "database", "add", "norte")
		s.fails(t, "give either --same or --file", "", "database", "add", "norte", "--same", "norte", "--file", "x")
		s.fails(t, "cannot be a database's name", "", "database", "add", "Norte!", "--same", "norte")
		s.fails(t, "prepare database sur", "", "database", "add", "sur", "--same", "sur")
		s.fails(t, "no such file", "", "database", "add", "sur", "--file", filepath.Join(t.TempDir(), "sur.url"))
		require.NotContains(t, s.succeeds(t, "", "database", "list"), "sur", "what could not be prepared is not offered")

		url := filepath.Join(s.data, "norte.url")
		require.NoError(t, os.WriteFile(url, []byte(c.DatabaseURL("norte")+"\n"), 0o600))
		require.Contains(t, s.succeeds(t, "", "database", "add", "norte", "--file", url), "database norte is ready")
		require.Contains(t, s.succeeds(t, "", "database", "add", "norte", "--file", url), "database norte is there already")
		s.fails(t, "there is a database norte already", "", "database", "add", "norte", "--same", "norte")
		s.fails(t, "is offered already, as database norte", "", "database", "add", "norte2", "--file", url)
		s.fails(t, "is offered already, as database shared", "", "database", "add", "zwei", "--same", "strato")
		require.Contains(t, s.succeeds(t, "", "tenant", "create", "norte", "--name", "Norte", "--database", "norte"), "in database norte")
		require.Contains(t, s.succeeds(t, "", "migrate"), "2 databases are up to date")
		require.Regexp(t, `norte +dedicated +active +1 +file:`, s.succeeds(t, "", "database", "list"))
		require.Regexp(t, `shared +shared +active +1 +same:strato`, s.succeeds(t, "", "database", "list"))
	})

	t.Run("keys", func(t *testing.T) {
		opens := seal(t, c, "k1:"+word("k"))
		require.Equal(t, "0 keys sealed anew; all keys of 1 agencies are under the first key\n", s.succeeds(t, "", "keys", "rewrap"))
		newer := &shell{data: s.data, environ: append(slices.Clone(s.environ), "STRATO_SECRET_KEYS=k2:"+word("m")+",k1:"+word("k"))}
		require.Contains(t, newer.succeeds(t, "", "migrate"), "2 databases are up to date")
		require.Equal(t, "1 keys sealed anew; all keys of 1 agencies are under the first key\n", newer.succeeds(t, "", "keys", "rewrap"))
		opens("k2:" + word("m"))
		s = &shell{data: s.data, environ: append(slices.Clone(s.environ), "STRATO_SECRET_KEYS=k2:"+word("m"))} // the old one is gone
	})

	t.Run("a database that is away", func(t *testing.T) {
		url := filepath.Join(s.data, "norte.url")
		require.NoError(t, os.Rename(url, url+".away"))
		o := s.run(t, "", "migrate")
		require.ErrorContains(t, o.failure, "database norte: read its URL")
		require.Contains(t, o.out, "1 databases are up to date", "it does not keep the others")
		require.NoError(t, os.Rename(url+".away", url))
	})

	t.Run("users", func(t *testing.T) {
		o := s.run(t, password+"\n", "user", "create", "ana@acme.example", "--name", "Ana", "--tenant", "acme", "--role", "owner")
		require.NoError(t, o.failure)
		require.Equal(t, "ana@acme.example is owner of agency acme\n", o.out)
		require.NotContains(t, o.out+o.err, password)
		require.Equal(t, "ana@acme.example is agent of agency acme\n", s.succeeds(t, "", "user", "create", "ana@acme.example", "--tenant", "acme"),
			"a user who is there needs no password")
		require.Equal(t, "operator op@strato.example made\n", s.succeeds(t, password, "user", "create", "op@strato.example", "--operator"))
		s.fails(t, "user.email_taken", password, "user", "create", "ana@acme.example", "--operator")
		s.fails(t, "user.password", "short\n", "user", "create", "bea@acme.example", "--tenant", "acme")
		s.fails(t, "no password was given", "\n", "user", "create", "bea@acme.example", "--tenant", "acme")
		s.fails(t, "no password was given", "", "user", "create", "bea@acme.example", "--tenant", "acme")
		s.fails(t, "user.email", password, "user", "create", "not an address", "--tenant", "acme")
		s.fails(t, `there is no role "king"`, password, "user", "create", "bea@acme.example", "--tenant", "acme", "--role", "king")
		s.fails(t, "agency nobody: tenant.not_found", password, "user", "create", "bea@acme.example", "--tenant", "nobody")
		s.fails(t, "either --tenant and --role, or --operator", password, "user", "create", "bea@acme.example")
		s.fails(t, "either --tenant and --role, or --operator", password, "user", "create", "bea@acme.example", "--tenant", "acme", "--operator")
		conn, err := pgx.Connect(t.Context(), c.DatabaseURL("strato"))
		require.NoError(t, err)
		defer func() { _ = conn.Close(context.Background()) }()
		var users int
		require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from control.users").Scan(&users))
		require.Equal(t, 2, users, "a refused command made a user")
	})

	t.Run("the doctor", func(t *testing.T) {
		o := s.run(t, "", "doctor")
		require.ErrorContains(t, o.failure, "of the checks failed") // there are no plugins here
		for _, line := range []string{"ok    configuration", "ok    secret keys", "ok    control database", "ok    database shared"} {
			require.Contains(t, o.out, line)
		}
		require.Contains(t, o.out, "FAIL  plugins")

		conn, err := pgx.Connect(t.Context(), c.DatabaseURL("strato"))
		require.NoError(t, err)
		defer func() { _ = conn.Close(context.Background()) }()
		_, err = conn.Exec(t.Context(), "alter table crm.leads no force row level security")
		require.NoError(t, err)
		o = s.run(t, "", "doctor")
		require.Contains(t, o.out, "FAIL  database shared")
		require.Contains(t, o.out, "crm.leads")
	})
}

func TestUnreachable(t *testing.T) {
	t.Parallel()

	s := newShell(t, "STRATO_DATABASE_URL=postgres://strato:hunter2-hunter2@127.0.0.1:1/strato",
		"STRATO_SECRET_KEYS=k1:"+base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32)))
	for _, args := range [][]string{
		{"migrate"}, {"tenant", "create", "acme", "--name", "Acme"}, {"user", "create", "ana@acme.example", "--operator"}, {"doctor"}, {"serve"},
	} {
		o := s.run(t, password, args...)
		require.Error(t, o.failure, "%v", args)
		require.Equal(t, 1, o.code)
		require.NotContains(t, o.failure.Error()+o.out+o.err, "hunter2", "%v", args)
	}
}

func TestNotRunning(t *testing.T) {
	t.Parallel()

	s := newShell(t)
	for _, args := range [][]string{{"tenant", "create", "acme", "--name", "Acme"}, {"user", "create", "ana@acme.example", "--operator"}, {"migrate"}} {
		s.fails(t, "no Strato runs on "+s.data, password, args...)
	}
	require.Contains(t, s.run(t, "", "doctor").out, "not running")
	left, err := os.ReadDir(s.data)
	require.NoError(t, err)
	require.Empty(t, left, "the doctor makes nothing")

	s = newShell(t, "STRATO_REDIS_URL=redis://:hunter2-hunter2@127.0.0.1:1/0")
	o := s.run(t, "", "doctor")
	require.Regexp(t, `FAIL +Redis `, o.out)
	require.NotContains(t, o.out, "hunter2")
}

func TestConfig(t *testing.T) {
	t.Parallel()

	t.Run("is shown without secrets", func(t *testing.T) {
		t.Parallel()

		keys := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32))
		s := newShell(t, "STRATO_DATABASE_URL=postgres://strato:hunter2-hunter2@db.example/strato", "STRATO_SECRET_KEYS=k1:"+keys)
		out := s.succeeds(t, "", "config")
		require.Contains(t, out, "STRATO_ADDR")
		require.Contains(t, out, "db.example")
		require.NotContains(t, out, "hunter2")
		require.NotContains(t, out, keys)
	})

	t.Run("is refused with every fault at once", func(t *testing.T) {
		t.Parallel()

		s := newShell(t, "STRATO_COLOUR=red", "STRATO_LOG_LEVEL=LOUD")
		for _, args := range [][]string{{"config"}, {"serve"}, {"demo"}, {"doctor"}, {"migrate"}, {"simulate", "x", "say"}} {
			o := s.run(t, "", args...)
			require.ErrorContains(t, o.failure, "STRATO_COLOUR", "%v", args)
			require.ErrorContains(t, o.failure, "STRATO_LOG_LEVEL", "%v", args)
			require.Equal(t, 1, o.code)
		}
	})
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()

	var doc struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(newShell(t).succeeds(t, "", "openapi")), &doc))
	require.Equal(t, "3.1.0", doc.OpenAPI)
	require.Contains(t, doc.Paths, "/api/leads")
}

func TestWords(t *testing.T) {
	t.Parallel()

	s := newShell(t)
	s.fails(t, `unknown command "srve"`, "", "srve")
	s.fails(t, "unknown flag: --port", "", "serve", "--port", "1")
	for _, root := range []string{"tenant", "user", "database", "keys"} {
		s.fails(t, `unknown command "lst" for "strato `+root+`"`, "", root, "lst")
		require.Contains(t, s.succeeds(t, "", root), "Available Commands")
	}
	require.Contains(t, s.succeeds(t, "", "--help"), "Available Commands")
	require.Contains(t, s.succeeds(t, "", "--version"), "strato version")
	require.Contains(t, s.succeeds(t, "", "simulate", "--help"), "Play the customer")
	require.Equal(t, 1, cli.ExitCode(errors.New("any")))
}

func TestSimulate(t *testing.T) {
	t.Parallel()

	plugins := t.TempDir()
	folder := filepath.Join(plugins, "toy")
	require.NoError(t, os.Mkdir(folder, 0o755))
	script := "#!/bin/sh\necho \"$@\"\ncat\necho \"$STRATO_SIMULATOR\" >&2\n[ \"$2\" = fail ] && exit 3\nexit 0\n"
	require.NoError(t, os.WriteFile(filepath.Join(folder, "toy"), []byte(script), 0o755)) //nolint:gosec // a program
	s := newShell(t, "STRATO_PLUGIN_DIR="+plugins)

	o := s.run(t, "from the input", "simulate", "toy", "say", "--to", "acme", "Hola, che")
	require.NoError(t, o.failure)
	require.Equal(t, "simulate say --to acme Hola, che\nfrom the input", o.out)
	require.Equal(t, filepath.Join(s.data, "simulators", "toy.json"), strings.TrimSpace(o.err))

	o = s.run(t, "", "simulate", "toy", "fail")
	var exit *exec.ExitError
	require.ErrorAs(t, o.failure, &exit)
	require.Equal(t, 3, o.code, "the exit code is the plugin's")
	require.True(t, cli.Said(o.failure))
	require.False(t, cli.Said(fmt.Errorf("initdb: %w", o.failure)))

	for _, name := range []string{"nothing", "../toy", "toy/toy", ""} {
		s.fails(t, "there is no plugin", "", "simulate", name, "say")
	}
}

func TestServe(t *testing.T) {
	t.Parallel()

	s, _ := database(t)
	s.fails(t, "strato migrate", "", "serve")
	s.succeeds(t, "", "migrate")
	plugins := t.TempDir()
	s.environ = append(s.environ, "STRATO_PLUGIN_DIR="+plugins, "STRATO_ADDR=127.0.0.1:0", "STRATO_METRICS_ADDR=")
	ctx, stop := context.WithCancel(t.Context())
	log := &lines{found: make(chan string, 1), key: `"url":"`}
	done := make(chan error, 1)
	go func() {
		done <- cli.Run(ctx, []string{"serve"}, cli.Streams{In: strings.NewReader(""), Out: log, Err: log}, s.environ)
	}()
	var url string
	select {
	case url = <-log.found:
	case err := <-done:
		t.Fatal(err)
	}
	resp, err := http.Get(url + "/healthz") //nolint:noctx // ends with the test
	require.NoError(t, err)
	_ = resp.Body.Close()
	require.Equal(t, 200, resp.StatusCode)

	taken := newShell(t, append(s.environ[2:len(s.environ)-2:len(s.environ)-2], "STRATO_ADDR="+strings.TrimPrefix(url, "http://"), "STRATO_METRICS_ADDR=")...)
	taken.fails(t, "set STRATO_ADDR to another", "", "serve")
	stop()
	require.NoError(t, <-done)
}

// lines finds what follows a key in what is written.
type lines struct {
	key   string
	found chan string
}

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	if _, after, ok := strings.Cut(string(b), l.key); ok {
		text, _, _ := strings.Cut(after, `"`)
		select {
		case l.found <- text:
		default:
		}
	}
	return len(b), nil
}
