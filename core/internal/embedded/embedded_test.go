package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/embedded"
)

// childFolder, when set, makes this test binary a program that runs an embedded
// PostgreSQL in that folder until it is killed.
const childFolder = "STRATO_TEST_EMBEDDED_CHILD"

func TestMain(m *testing.M) {
	if folder := os.Getenv(childFolder); folder != "" {
		child(folder)
	}
	template, err := os.MkdirTemp("", "strato-template-")
	if err != nil {
		panic(err)
	}
	if err := errors.Join(os.Chmod(template, 0o711), os.Setenv("STRATO_TEST_TEMPLATE", template)); err != nil { //nolint:gosec // to pass through
		panic(err)
	}
	code := m.Run()
	if err := os.RemoveAll(template); err != nil {
		panic(err)
	}
	os.Exit(code)
}

func child(folder string) {
	p, err := embedded.StartPostgres(context.Background(), options(folder))
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println(p.Pid(), p.URL("postgres"))
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent goes
	os.Exit(0)
}

// options are quick to start: no initdb but the first time, no waiting for disks.
func options(folder string) embedded.Options {
	return embedded.Options{
		Data:     folder,
		Template: os.Getenv("STRATO_TEST_TEMPLATE"),
		InitArgs: []string{"--no-sync"},
		Settings: map[string]string{"fsync": "off", "shared_buffers": "16MB"},
	}
}

// folder returns a data folder that PostgreSQL's user can reach, unlike
// t.TempDir as root.
func folder(t *testing.T) string {
	t.Helper()
	path, err := os.MkdirTemp("", "strato-embedded-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(path, 0o711)) //nolint:gosec // to pass through
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(path)) })
	return path
}

// start runs PostgreSQL until the test ends.
func start(t *testing.T, o embedded.Options) *embedded.Postgres {
	t.Helper()
	p, err := embedded.StartPostgres(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { stop(t, p) })
	return p
}

func stop(t *testing.T, p *embedded.Postgres) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	require.NoError(t, p.Stop(ctx))
}

// ask runs a query that answers one text.
func ask(t *testing.T, url, query string) string {
	t.Helper()
	answer, err := tryAsk(t.Context(), url, query)
	require.NoError(t, err)
	return answer
}

func tryAsk(ctx context.Context, url, query string) (answer string, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if !strings.HasPrefix(query, "select") && !strings.HasPrefix(query, "show") {
		_, err = conn.Exec(ctx, query)
		return "", err
	}
	err = conn.QueryRow(ctx, query).Scan(&answer)
	return answer, err
}

// sentences collects what the progress callback is told.
type sentences struct {
	mu  sync.Mutex
	all []string
}

func (s *sentences) add(sentence string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, sentence)
}

func (s *sentences) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.all, "\n")
}

func TestPostgres(t *testing.T) {
	t.Parallel()

	t.Run("first and second start", func(t *testing.T) {
		t.Parallel()
		data := folder(t)
		told := &sentences{}
		o := embedded.Options{Data: filepath.Join(data, "deep", "er"), Progress: told.add, Log: slog.New(slog.DiscardHandler)}
		p, err := embedded.StartPostgres(t.Context(), o)
		require.NoError(t, err)
		require.Contains(t, told.String(), "first start only")

		for setting, want := range map[string]string{
			"fsync": "on", "wal_level": "logical", "max_connections": "200", "shared_buffers": "128MB", "listen_addresses": "127.0.0.1",
			"unix_socket_directories": "", "server_encoding": "UTF8", "data_checksums": "on", "password_encryption": "scram-sha-256", "TimeZone": "UTC",
		} {
			require.Equal(t, want, ask(t, p.URL("postgres"), "show "+setting), setting)
		}
		require.Equal(t, "ñandú", ask(t, p.URL("postgres"), "select lower('ÑANDÚ')"))
		_, err = tryAsk(t.Context(), strings.Replace(p.URL("postgres"), ":"+strings.Split(strings.Split(p.URL("postgres"), ":")[2], "@")[0]+"@", ":wrong@", 1), "show fsync")
		require.ErrorContains(t, err, "password authentication failed")
		for _, name := range []string{"password", "port", "postgres.log"} {
			info, err := os.Stat(filepath.Join(p.Home(), name))
			require.NoError(t, err)
			require.Zero(t, info.Mode().Perm()&0o077, name)
		}

		ask(t, p.URL("postgres"), "create table kept (id int)")
		port, url := p.Port(), p.URL("postgres")
		stop(t, p)
		stop(t, p) // again is harmless
		_, err = tryAsk(t.Context(), url, "show fsync")
		require.Error(t, err, "nothing listens any more")

		told.all = nil
		p = start(t, o)
		require.Equal(t, port, p.Port(), "the port is kept")
		require.Equal(t, "kept", ask(t, p.URL("postgres"), "select to_regclass('kept')::text"))
		require.Empty(t, told.String())
		require.GreaterOrEqual(t, p.Major(), 15)
	})

	t.Run("killed, it comes back on its port", func(t *testing.T) {
		t.Parallel()
		p := start(t, options(folder(t)))
		url, pid := p.URL("postgres"), p.Pid()
		ask(t, url, "create table kept (id int)")
		for range 2 {
			require.NoError(t, kill(pid))
			require.Eventually(t, func() bool {
				answer, err := tryAsk(t.Context(), url, "select to_regclass('kept')::text")
				return err == nil && answer == "kept" && p.Pid() != pid
			}, 30*time.Second, 20*time.Millisecond)
			pid = p.Pid()
		}
	})

	t.Run("stops while it cannot be restarted", func(t *testing.T) {
		t.Parallel()
		data := folder(t)
		p := start(t, options(data))
		require.NoError(t, os.Rename(filepath.Join(p.Home(), "data"), filepath.Join(p.Home(), "gone")))
		require.NoError(t, kill(p.Pid()))
		require.Eventually(t, func() bool {
			log, err := os.ReadFile(filepath.Join(p.Home(), "postgres.log"))
			return err == nil && strings.Contains(string(log), "data directory")
		}, 10*time.Second, 10*time.Millisecond)
		stop(t, p)
	})

	t.Run("stop with a deadline that has passed", func(t *testing.T) {
		t.Parallel()
		data := folder(t)
		p := start(t, options(data))
		ask(t, p.URL("postgres"), "create table kept (id int)")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, p.Stop(ctx))
		p = start(t, options(data))
		require.Equal(t, "kept", ask(t, p.URL("postgres"), "select to_regclass('kept')::text"), "it recovers")
	})

	t.Run("a start that is broken off", func(t *testing.T) {
		t.Parallel()
		data := folder(t)
		ctx, cancel := context.WithCancel(t.Context())
		o := options(data)
		o.Template = ""
		o.Progress = func(string) { cancel() }
		_, err := embedded.StartPostgres(ctx, o)
		require.ErrorIs(t, err, context.Canceled)
		start(t, options(data)) // goes on from there
	})
}

// A killed Strato leaves no server behind, and if one is left all the same, the
// next start copes.
func TestKilled(t *testing.T) {
	t.Parallel()

	t.Run("the server goes with its parent", func(t *testing.T) {
		t.Parallel()
		data := folder(t)
		cmd := exec.Command(os.Args[0]) //nolint:noctx // it is killed below
		cmd.Env = append(os.Environ(), childFolder+"="+data)
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		defer func() { _ = in.Close() }()
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		var pid int
		var url string
		_, err = fmt.Fscanln(out, &pid, &url)
		require.NoError(t, err)
		require.Equal(t, "1", ask(t, url, "select '1'"))

		again, running, err := embedded.Running(data, "postgres")
		require.NoError(t, err)
		require.True(t, running)
		require.Equal(t, url, again)
		_, err = embedded.StartPostgres(t.Context(), options(data))
		require.ErrorIs(t, err, embedded.ErrLocked)
		require.ErrorContains(t, err, strconv.Itoa(cmd.Process.Pid))

		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		require.Eventually(t, func() bool { return !alive(pid) }, 20*time.Second, 10*time.Millisecond, "a postmaster was left behind")
		_, running, err = embedded.Running(data, "postgres")
		require.NoError(t, err)
		require.False(t, running)
		start(t, options(data))
	})

	t.Run("a server left behind is stopped", func(t *testing.T) {
		t.Parallel()
		data := folder(t)
		p := start(t, options(data))
		args := commandLine(t, p.Pid())
		stop(t, p)
		left, err := embedded.StartProcess(embedded.AsPostgresUser(t, exec.Command(args[0], args[1:]...)), 0) //nolint:noctx // stopped below
		require.NoError(t, err)
		require.Eventually(t, func() bool { _, err := tryAsk(t.Context(), p.URL("postgres"), "show fsync"); return err == nil }, 20*time.Second, 10*time.Millisecond)

		told := &sentences{}
		o := options(data)
		o.Progress = told.add
		next := start(t, o)
		<-left.Done()
		require.Contains(t, told.String(), strconv.Itoa(left.Pid()))
		require.NotEqual(t, left.Pid(), next.Pid())
	})

	t.Run("a pid file whose number is another's by now", func(t *testing.T) {
		t.Parallel()
		data := folder(t)
		p := start(t, options(data))
		stop(t, p)
		file := filepath.Join(p.Home(), "data", "postmaster.pid")
		for _, content := range []string{strconv.Itoa(os.Getpid()) + "\n" + p.Home() + "/data\n", "1\n", "nonsense", ""} {
			require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
			stop(t, start(t, options(data)))
		}
	})
}

func TestRunning(t *testing.T) {
	t.Parallel()
	data := folder(t)
	_, running, err := embedded.Running(filepath.Join(data, "nothing"), "x")
	require.NoError(t, err)
	require.False(t, running)
	_, err = os.Stat(filepath.Join(data, "nothing"))
	require.ErrorIs(t, err, os.ErrNotExist, "looking makes nothing")
}

func TestEnsureDatabase(t *testing.T) {
	t.Parallel()
	p := start(t, options(folder(t)))
	for _, name := range []string{"norte-db", `od"d`} {
		var wg sync.WaitGroup
		urls, errs := make([]string, 4), make([]error, 4)
		for i := range urls {
			wg.Go(func() { urls[i], errs[i] = embedded.EnsureDatabase(t.Context(), p.URL("postgres"), name) })
		}
		wg.Wait()
		for i := range urls {
			require.NoError(t, errs[i])
			require.Equal(t, name, ask(t, urls[i], "select current_database()::text"))
		}
	}
	_, err := embedded.EnsureDatabase(t.Context(), "postgres://a:s3cret@127.0.0.1:1/x", "y")
	require.ErrorContains(t, err, "database y")
	require.NotContains(t, err.Error(), "s3cret")
}
