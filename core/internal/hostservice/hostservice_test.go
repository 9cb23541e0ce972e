package hostservice_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/hosttest"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// bundle is a plugin's process with an installation.
type bundle struct {
	*hosttest.World

	target installation.Target
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{World: hosttest.New(t, host.Timing{})}
	b.target = b.Echo(t)
	return b
}

// ask has the plugin use the host's services, in a call for an installation.
func (b *bundle) ask(t *testing.T, target installation.Target, format string, args ...any) string {
	t.Helper()
	answer, err := b.try(t.Context(), target, fmt.Sprintf(format, args...))
	require.NoError(t, err)
	return answer
}

func (b *bundle) try(ctx context.Context, target installation.Target, words string) (string, error) {
	live, err := b.Directory.Load(ctx, target)
	if err != nil {
		return "", err
	}
	r, err := b.Registry.HandleWebhook(ctx, live, &pluginv1.WebhookDelivery{Endpoint: "services", Request: &pluginv1.HttpRequest{
		Method: "POST", Body: []byte(words), ReceivedAt: timestamppb.Now(),
	}})
	if err != nil {
		return "", err
	}
	return string(r.GetResponse().GetBody()), nil
}

func TestState(t *testing.T) {
	t.Parallel()

	b := setup(t)
	require.Empty(t, b.ask(t, b.target, "get cursor"))
	require.Equal(t, "0", b.ask(t, b.target, "version cursor"))
	require.Equal(t, "put", b.ask(t, b.target, "put cursor one"))
	require.Equal(t, "one", b.ask(t, b.target, "get cursor"))
	first := b.ask(t, b.target, "version cursor")

	require.Equal(t, "true", b.ask(t, b.target, "putif cursor two %s", first))
	require.Equal(t, "false", b.ask(t, b.target, "putif cursor three %s", first), "somebody was quicker")
	require.Equal(t, "false", b.ask(t, b.target, "putif cursor three 0"), "it is there")
	require.Equal(t, "two", b.ask(t, b.target, "get cursor"))

	second := b.ask(t, b.target, "version cursor")
	require.Equal(t, "deleted", b.ask(t, b.target, "delete cursor"))
	require.Equal(t, "true", b.ask(t, b.target, "putif cursor four 0"))
	require.Equal(t, "false", b.ask(t, b.target, "putif cursor five %s", second), "a version never comes again")

	b.ask(t, b.target, "put cards/1 a")
	b.ask(t, b.target, "put cards/2 b")
	b.ask(t, b.target, "put short c 1ms")
	require.Equal(t, "cards/1 cards/2;", b.ask(t, b.target, "list cards/"))
	require.Eventually(t, func() bool { return b.ask(t, b.target, "get short") == "" }, 10*time.Second, time.Millisecond)

	require.Contains(t, b.ask(t, b.target, "stray"), "error: host services need the context of a call")
}

func TestStateLimits(t *testing.T) {
	t.Parallel()

	b := setup(t)
	require.Equal(t, "filled", b.ask(t, b.target, "fill whole 65536"))
	require.Contains(t, b.ask(t, b.target, "fill more 65537"), "error: a limit of the host is reached")
	require.Contains(t, b.ask(t, b.target, "put %s v", strings.Repeat("k", 201)), "error: ")
	for n := range 15 {
		answer := b.ask(t, b.target, "fill key%d 65500", n)
		require.Equal(t, "filled", answer)
	}
	require.Contains(t, b.ask(t, b.target, "fill last 65536"), "error: a limit of the host is reached", "1 MiB in all")
	require.Equal(t, "filled", b.ask(t, b.target, "fill whole 1"), "what is replaced does not count twice")
	require.Equal(t, "filled", b.ask(t, b.target, "fill last 60000"))

	other := b.Echo(t)
	tenanttest.Do(t, b.Pool, b.Agency, func(ctx context.Context, s tenant.Scope) error {
		_, err := s.Exec(ctx, `
			insert into crm.plugin_state (tenant_id, installation_id, key, value, version, updated_at)
			select $1, $2, 'key' || n, '', 1, now() from generate_series(1, 1000) n`, s.Tenant(), other.Installation)
		return err
	})
	require.Contains(t, b.ask(t, other, "put one-more v"), "error: a limit of the host is reached")
	require.Equal(t, "put", b.ask(t, other, "put key7 v"))
	require.True(t, strings.HasSuffix(b.ask(t, other, "list key"), ";key188"), "a page has 100 keys")
}

func TestRotateSecrets(t *testing.T) {
	t.Parallel()

	b := setup(t)
	before := b.Get(t, b.target)
	require.Equal(t, "2 true", b.ask(t, b.target, "rotate a-new-token-of-the-provider"))
	require.Equal(t, "a-new-token-of-the-provider", b.ask(t, b.target, "token"), "the instance is a new one")
	after := b.Get(t, b.target)
	require.Greater(t, after.Version, before.Version, "a form loaded before must not bring the old token back")
	require.Contains(t, b.ask(t, b.target, "rotate-other /no_such_secret"), "error: the host says: the settings have no secret")

	// A call that began before somebody changed the settings comes too late.
	live := b.Live(t, b.target)
	b.Save(t, b.target, map[string]string{"account": "b"})
	r, err := b.Registry.HandleWebhook(t.Context(), live, &pluginv1.WebhookDelivery{Endpoint: "services", Request: &pluginv1.HttpRequest{
		Method: "POST", Body: []byte("rotate too-late-a-token"), ReceivedAt: timestamppb.Now(),
	}})
	require.NoError(t, err)
	require.Equal(t, "3 false", string(r.GetResponse().GetBody()))
	require.Equal(t, "a-new-token-of-the-provider", b.ask(t, b.target, "token"))
	require.NotContains(t, b.Log.String(), "a-new-token-of-the-provider")
}

func TestBlobs(t *testing.T) {
	t.Parallel()

	b := setup(t)
	blob := b.ask(t, b.target, "write 100000 a")
	require.Equal(t, "text/plain 100000 a", b.ask(t, b.target, "read %s", blob))
	require.Equal(t, "text/plain 0 ", b.ask(t, b.target, "read %s", b.ask(t, b.target, "write 0 a")))
	require.Contains(t, b.ask(t, b.target, "read 00000000-0000-0000-0000-000000000001"), "error: the installation has no such thing")
	require.Contains(t, b.ask(t, b.target, "read ../../keys"), "error: the installation has no such thing")
	other := b.Echo(t)
	require.Contains(t, b.ask(t, other, "read %s", blob), "error: the installation has no such thing", "not even one of the same tenant")

	tenanttest.Do(t, b.Pool, b.Agency, func(ctx context.Context, s tenant.Scope) error {
		_, err := s.Exec(ctx, `insert into crm.plugin_blobs (tenant_id, id, installation_id, size_bytes, sha256, created_at)
			values ($1, gen_random_uuid(), $2, $3, '', now())`, s.Tenant(), b.target.Installation, int64(1<<30))
		return err
	})
	require.Contains(t, b.ask(t, b.target, "write 1 a"), "error: a limit of the host is reached")
}

func TestEvents(t *testing.T) {
	t.Parallel()

	b := setup(t)
	count := func() (n int) {
		require.NoError(t, b.Pool.Read(t.Context(), b.Agency.ID, func(ctx context.Context, s tenant.Scope) error {
			return s.Query(ctx, &n, `select count(*)::int from crm.inbox where tenant_id = $1 and state = 'ready'`, s.Tenant())
		}))
		return n
	}
	require.Equal(t, "published", b.ask(t, b.target, "publish 1 hello"))
	require.Equal(t, 1, count())
	require.Equal(t, "published", b.ask(t, b.target, "publish 2 hello phone_number_id somebody-elses"))
	require.Equal(t, 1, count(), "an account that is not the installation's")
	require.Contains(t, b.Log.String(), "event of another account dropped")
}

// TestNothingCrosses has two agencies use one process at once, each trying what
// the other has.
func TestNothingCrosses(t *testing.T) {
	t.Parallel()

	b := setup(t)
	_, agency := tenanttest.New(t)
	one, two := b.target, hosttest.Install(t, b.Pool, agency, hosttest.Echo)
	b.Save(t, two, map[string]string{"account": "z", "token": "a token of the others"})
	mine := map[installation.Target]string{one: "one", two: "two"}
	blobOf := map[installation.Target]string{}
	for target, name := range mine {
		blobOf[target] = b.ask(t, target, "write 50000 %s", name[:1])
	}
	var wait sync.WaitGroup
	failures := make(chan string, 1000)
	for n := range 16 {
		self, other := one, two
		if n%2 == 1 {
			self, other = two, one
		}
		wait.Go(func() {
			for round := range 5 {
				key := fmt.Sprintf("key%d", n/2)
				for _, step := range [][2]string{
					{fmt.Sprintf("put %s %s-%d", key, mine[self], round), "put"},
					{"get " + key, fmt.Sprintf("%s-%d", mine[self], round)},
					{"read " + blobOf[self], fmt.Sprintf("text/plain 50000 %s", mine[self][:1])},
					{"read " + blobOf[other], "error: the installation has no such thing: there is no such file"},
					{fmt.Sprintf("publish %d%d%s from-%s", n, round, mine[self], mine[self]), "published"},
				} {
					answer, err := b.try(t.Context(), self, step[0])
					if err != nil {
						answer = err.Error()
					}
					if answer != step[1] {
						failures <- fmt.Sprintf("%s: %s: %q", mine[self], step[0], answer)
					}
				}
			}
		})
	}
	wait.Wait()
	close(failures)
	for f := range failures {
		t.Error(f)
	}
	for target, name := range mine {
		wrong, right := 0, 0
		require.NoError(t, b.Pool.Read(t.Context(), target.Tenant, func(ctx context.Context, s tenant.Scope) error {
			return s.Query(ctx, &right, `select count(*)::int from crm.inbox where tenant_id = $1 and position($2::bytea in result) > 0`, s.Tenant(), []byte("from-"+name))
		}))
		require.NoError(t, b.Pool.Read(t.Context(), target.Tenant, func(ctx context.Context, s tenant.Scope) error {
			return s.Query(ctx, &wrong, `select count(*)::int from crm.inbox where tenant_id = $1 and position($2::bytea in result) = 0`, s.Tenant(), []byte("from-"+name))
		}))
		require.Equal(t, 40, right, name)
		require.Zero(t, wrong, name)
	}
}
