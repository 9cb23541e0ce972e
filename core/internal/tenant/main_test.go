package tenant_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// person is a row of the tenant's.
func person(s tenant.Scope, name string) *contact.Contact {
	return &contact.Contact{ID: id.New[contact.Contact](), Name: name, Version: 1, CreatedAt: s.Now(), UpdatedAt: s.Now()}
}

// add stores a person of a tenant.
func add(t *testing.T, pool *tenant.Pool, agency tenant.Tenant, name string) *contact.Contact {
	t.Helper()
	var c *contact.Contact
	tenanttest.Do(t, pool, agency, func(ctx context.Context, s tenant.Scope) error {
		c = person(s, name)
		_, err := s.Insert(c).Exec(ctx)
		return err
	})
	return c
}

// names lists a tenant's people without naming the tenant in the statement.
func names(t *testing.T, pool *tenant.Pool, agency tenant.Tenant) []string {
	t.Helper()
	list := []string{}
	require.NoError(t, pool.Read(t.Context(), agency.ID, func(ctx context.Context, s tenant.Scope) error {
		return s.Query(ctx, &list, "select name from crm.contacts order by name")
	}))
	return list
}

// count asks a database as its superuser.
func count(t *testing.T, conn *pgx.Conn, query string, args ...any) int {
	t.Helper()
	var n int
	require.NoError(t, conn.QueryRow(t.Context(), query, args...).Scan(&n))
	return n
}

// journal keeps a log's records.
type journal struct {
	mu      sync.Mutex
	records []map[string]string
}

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }
func (j *journal) WithAttrs([]slog.Attr) slog.Handler       { return j }
func (j *journal) WithGroup(string) slog.Handler            { return j }

func (j *journal) Handle(_ context.Context, r slog.Record) error {
	line := map[string]string{"message": r.Message}
	r.Attrs(func(a slog.Attr) bool { line[a.Key] = a.Value.String(); return true })
	j.mu.Lock()
	defer j.mu.Unlock()
	j.records = append(j.records, line)
	return nil
}
