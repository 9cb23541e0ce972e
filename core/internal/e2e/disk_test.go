package e2e_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestDiskFull fills the disk under a running Strato. Webhooks are refused so
// that the provider sends them again, what was taken is there, and when there
// is room again everything goes on by itself.
func TestDiskFull(t *testing.T) {
	t.Parallel()

	disk := folder(t)
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=320m,mode=0711"); err != nil {
		t.Logf("a small disk cannot be mounted (%v): files are limited instead", err)
		limitedFiles(t)
		return
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(disk, 0)) })
	small := demoIn(t, filepath.Join(disk, "data"))
	small.run()
	t.Cleanup(small.end)
	f := newFiller(t, small)

	filler := filepath.Join(disk, "filler")
	f.leave(disk, filler, 6<<20)
	f.until(func(status int) bool { return status != http.StatusOK })
	require.Equal(t, http.StatusServiceUnavailable, f.last)
	require.Greater(t, len(f.taken), 1, "the disk was full at once")
	f.leave(disk, filler, 0)
	for range 3 {
		f.post()
		require.NotEqual(t, http.StatusInternalServerError, f.last)
	}
	code, said := strato(t, small.env, "", "doctor")
	require.Equal(t, 1, code, said)
	require.Contains(t, said, "FAIL  disk space")
	require.Contains(t, said, "free some space")
	require.False(t, small.ended(), small.out)

	require.NoError(t, os.Remove(filler))
	f.until(func(status int) bool { return status == http.StatusOK })
	f.check()
	code, said = strato(t, small.env, "", "doctor")
	require.Zero(t, code, said)
	small.stop()
}

// limitedFiles is the test without a disk to fill: no file may grow over a
// limit, which PostgreSQL meets in much the same way.
func limitedFiles(t *testing.T) {
	t.Helper()
	d := newDemo(t)
	d.stop()
	limited := exec.Command("sh", "-c", "ulimit -f 34816 && exec "+filepath.Join(root, "bin", "strato")+" demo") // 17 MiB: a segment of WAL, and little more
	d.program = startCommand(t, limited, d.env, nil)
	d.says("Stop with Ctrl-C")
	f := newFiller(t, d)
	f.until(func(status int) bool { return status != http.StatusOK })
	require.GreaterOrEqual(t, f.last, 500)
	d.stop()
	d.run()
	f.until(func(status int) bool { return status == http.StatusOK })
	f.check()
}

// filler posts large webhooks, one after another.
type filler struct {
	t      *testing.T
	d      *demo
	acme   account
	client *http.Client
	count  int
	taken  map[string]bool
	last   int
}

func newFiller(t *testing.T, d *demo) *filler {
	t.Helper()
	return &filler{t: t, d: d, acme: d.account("acme"), client: &http.Client{}, taken: map[string]bool{}}
}

// post posts one webhook of half a megabyte that does not compress.
func (f *filler) post() {
	f.t.Helper()
	noise := make([]byte, 256<<10)
	_, _ = rand.Read(noise)
	id := fmt.Sprintf("wamid.disk-%04d", f.count)
	f.count++
	one := f.acme.text(id, "5491160005001", id, time.Now())
	one["noise"] = hex.EncodeToString(noise)
	f.last = post(f.t.Context(), f.client, f.acme.hook, f.acme.secret, body(one))
	if f.last == http.StatusOK {
		f.taken[id] = true
	}
}

func (f *filler) until(is func(status int) bool) {
	f.t.Helper()
	eventually(f.t, func() bool {
		f.post()
		return is(f.last)
	}, "the answer stays %v", deferred(func() string { return fmt.Sprint(f.last) }))
}

// leave fills a disk up to what is to stay free.
func (f *filler) leave(disk, path string, free uint64) {
	f.t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(f.t, err)
	defer file.Close()
	block := make([]byte, 64<<10)
	for {
		var st syscall.Statfs_t
		require.NoError(f.t, syscall.Statfs(disk, &st))
		if st.Bavail*uint64(st.Bsize) <= free {
			return
		}
		if _, err := file.Write(block); err != nil {
			require.ErrorIs(f.t, err, syscall.ENOSPC)
			return
		}
	}
}

// check finds everything that was taken, once, and nothing in halves.
func (f *filler) check() {
	f.t.Helper()
	conn := f.d.sql("strato")
	settled(f.t, conn)
	owner := f.d.signIn("owner@acme.example")
	seen := map[string]int{}
	for _, m := range owner.messages(owner.lead("wa_id", "5491160005001").ConversationID) {
		if strings.HasPrefix(m.ExternalID, "wamid.disk-") {
			seen[m.ExternalID]++
			require.Equal(f.t, m.ExternalID, m.Text)
		}
	}
	for n := range f.count {
		id := fmt.Sprintf("wamid.disk-%04d", n)
		require.LessOrEqual(f.t, seen[id], 1, id)
		if f.taken[id] {
			require.Equal(f.t, 1, seen[id], "%s was taken", id)
		}
	}
	require.Zero(f.t, value[int](f.t, conn, "select count(*) from crm.inbox where state in ('raw', 'ready', 'dead')"))
	require.Zero(f.t, value[int](f.t, conn, `
		select count(*) from crm.messages m where not exists
			(select from crm.events e where e.tenant_id = m.tenant_id and e.payload->>'message_id' = m.id::text)
		and m.direction = 'in'`))
	f.t.Logf("%d of %d webhooks were taken", len(f.taken), f.count)
}
