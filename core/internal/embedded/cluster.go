package embedded

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// ensureCluster makes the cluster when there is none. A start that was broken
// off leaves nothing that looks like one.
func ensureCluster(ctx context.Context, b binaries, p place, o Options) error {
	if _, err := os.Stat(filepath.Join(p.cluster(), "PG_VERSION")); err == nil {
		return nil
	}
	if o.Template == "" {
		o.Progress(fmt.Sprintf("Preparing PostgreSQL %d in %s (first start only).", b.major, p.home))
		return initialise(ctx, b, p, o)
	}
	if err := copyTemplate(ctx, b, p, o); err != nil {
		return spaceless(fmt.Errorf("copy template: %w", err))
	}
	return nil
}

// copyTemplate makes the template if nobody has, and copies it. Only one process
// at a time does either.
func copyTemplate(ctx context.Context, b binaries, p place, o Options) error {
	unlock, err := lockFile(filepath.Join(o.Template, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	t := place{folder: o.Template, home: o.Template, user: p.user}
	major, err := t.major()
	if err != nil {
		return err
	}
	if major != b.major {
		if err := os.RemoveAll(t.cluster()); err != nil {
			return err
		}
		if err := initialise(ctx, b, t, o); err != nil {
			return err
		}
	}
	password, err := os.ReadFile(t.password())
	if err != nil {
		return err
	}
	if err := writeFile(p.password(), string(password)); err != nil {
		return err
	}
	return replaceTree(t.cluster(), p.cluster(), p.user)
}

// initialise runs initdb.
func initialise(ctx context.Context, b binaries, p place, o Options) error {
	password := rand.Text()
	if err := writeFile(p.password(), password); err != nil {
		return err
	}
	// initdb runs as the account and reads the password from a file of its own.
	pwfile := p.password() + ".init"
	if err := writeFile(pwfile, password); err != nil {
		return err
	}
	defer func() { _ = os.Remove(pwfile) }() // only a copy
	if err := p.user.own(pwfile); err != nil {
		return fmt.Errorf("give %s to user %s: %w", pwfile, p.user.name, err)
	}
	var err error
	for _, locale := range locales(b.major) {
		var output string
		output, err = initdb(ctx, b, p, append(locale, o.InitArgs...), pwfile)
		if err == nil {
			return nil
		}
		if !strings.Contains(output, "locale") {
			break
		}
	}
	return err
}

// locales returns the choices of initdb, best first: letters of all languages
// have upper and lower case under the first two, sorting is by code point.
func locales(major int) [][]string {
	choices := [][]string{{"--locale=C.UTF-8"}}
	if major >= 17 {
		choices = append(choices, []string{"--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"})
	}
	return append(choices, []string{"--locale=C"})
}

func initdb(ctx context.Context, b binaries, p place, args []string, pwfile string) (output string, err error) {
	fresh := p.cluster() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return "", fmt.Errorf("clear %s: %w", fresh, err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return "", spaceless(fmt.Errorf("make %s: %w", fresh, err))
	}
	if err := p.user.own(fresh); err != nil {
		return "", fmt.Errorf("give %s to user %s: %w", fresh, p.user.name, err)
	}
	args = append([]string{
		"--pgdata=" + fresh, "--username=" + User, "--pwfile=" + pwfile, "--auth=scram-sha-256",
		"--encoding=UTF8", "--data-checksums",
	}, args...)
	cmd := exec.CommandContext(ctx, filepath.Join(b.folder, "initdb"), args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Dir = p.home
	cmd.Env = environment()
	cmd.SysProcAttr = p.user.attributes()
	proc, err := StartProcess(cmd, syscall.SIGKILL)
	if err != nil {
		return "", err
	}
	<-proc.Done()
	if err := proc.Err(); err != nil {
		_ = os.RemoveAll(fresh) // the reason below matters more
		if ctx.Err() != nil {
			return "", fmt.Errorf("initdb: %w", ctx.Err())
		}
		return out.String(), explain("initdb", out.String())
	}
	if err := os.Rename(fresh, p.cluster()); err != nil {
		return "", fmt.Errorf("finish cluster: %w", err)
	}
	return out.String(), nil
}

// environment is what PostgreSQL's programs get: nothing of ours, above all no
// secret and no PG* variable that changes what they do.
func environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_MESSAGES=C", "TZ=UTC"}
}
