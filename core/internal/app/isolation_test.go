package app_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/postgres"
)

// newChecker connects to a database as the application does.
func newChecker(t *testing.T, direct, through dbtest.DB) *checker {
	t.Helper()
	connect := func(url string) *pgx.Conn {
		cfg, err := pgx.ParseConfig(url)
		require.NoError(t, err)
		// PgBouncer before 1.21 loses prepared statements between transactions.
		cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close(t.Context()) })
		return conn
	}
	return &checker{
		admin: connect(direct.AdminURL),
		app:   connect(through.URL(t, postgres.RoleApp)), unset: connect(through.URL(t, postgres.RoleApp)),
		ingest: connect(through.URL(t, postgres.RoleIngest)), queue: connect(through.URL(t, postgres.RoleQueue)),
	}
}

// Every table with tenant_id is filled for two tenants; neither reaches the
// other's rows by any statement, in the shared database, in a dedicated one, and
// through a pooler with a single connection.
func TestIsolation(t *testing.T) {
	t.Parallel()

	for name, setup := range map[string]func(t *testing.T) *checker{
		"shared database": func(t *testing.T) *checker {
			t.Helper()
			db := database(t)
			return newChecker(t, db, db)
		},
		"dedicated database": func(t *testing.T) *checker {
			t.Helper()
			db := dedicatedDatabase(t)
			return newChecker(t, db, db)
		},
		"transaction pooler, one connection": func(t *testing.T) *checker {
			t.Helper()
			db := database(t)
			return newChecker(t, db, dbtest.PgBouncer(t, db, 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			k := setup(t)

			findings, err := k.check(t.Context())
			require.NoError(t, err)
			require.Empty(t, findings)
			require.Greater(t, len(k.tables), 15, "the catalogue was not read")
			audit, err := postgres.AuditRLS(t.Context(), k.admin, "crm")
			require.NoError(t, err)
			require.Empty(t, audit)
		})
	}
}

// The check above is worth what it finds: each lock is taken away in turn, and
// it must notice. So must the audit that "strato doctor" runs, of what the
// catalogue shows.
func TestIsolationIsSeenToFail(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		statement string
		finds     []string
		audit     postgres.Rule // empty if the audit cannot see it
	}{
		"a policy dropped": {
			// Row security without a policy is closed to everybody.
			"drop policy tenant on crm.leads",
			[]string{"crm.leads: a tenant sees 0 rows instead of its own one", "crm.leads: refuses a tenant's own row"}, postgres.RulePolicy,
		},
		"a policy for everybody": {
			"create policy open on crm.messages using (true)",
			[]string{
				"crm.messages: another tenant's rows can be read", "crm.messages: another tenant's rows can be changed",
				"crm.messages: another tenant's rows can be deleted", "crm.messages: takes rows for another tenant",
				"crm.messages: rows can be given to another tenant", "crm.messages: without a tenant",
			}, postgres.RuleOpen,
		},
		"a policy that checks reads only": {
			"alter policy tenant on crm.contacts with check (true)",
			[]string{"crm.contacts: takes rows for another tenant", "crm.contacts: rows can be given to another tenant"}, postgres.RulePolicy,
		},
		"a policy that is evaluated before there is a tenant": {
			"alter policy tenant on crm.events using (current_setting('app.tenant_id', true) is null or tenant_id::text = current_setting('app.tenant_id', true))",
			[]string{"crm.events: a tenant that is no id is answered"}, "",
		},
		"FORCE dropped": {
			"alter table crm.conversations no force row level security",
			[]string{"crm.conversations: the owner as tenant"}, postgres.RuleForced,
		},
		"row security off": {
			"alter table crm.installation_secrets disable row level security",
			[]string{"crm.installation_secrets: another tenant's rows can be read"}, postgres.RuleEnabled,
		},
		"a partition that can be read past its parent": {
			"alter table crm.inbox_default disable row level security; grant select on crm.inbox_default to strato_app;" +
				"alter table crm.inbox drop constraint inbox_pkey cascade; alter table crm.inbox_default add primary key (tenant_id, id, received_at);" +
				"insert into crm.inbox_default (tenant_id, id, received_at, installation_id, plugin, state, delivery) " +
				"values (gen_random_uuid(), gen_random_uuid(), '2000-01-01', gen_random_uuid(), 'x', 'done', '')",
			[]string{"crm.inbox_default: without a tenant"}, postgres.RuleEnabled,
		},
		"a foreign key by id alone": {
			"alter table crm.contacts add unique (id); alter table crm.identities drop constraint identities_tenant_id_contact_id_fkey;" +
				"alter table crm.identities add foreign key (contact_id) references crm.contacts (id)",
			[]string{"crm.identities: foreign key identities_contact_id_fkey leads to another tenant's row"}, postgres.RuleForeign,
		},
		"a table without row security": {
			"create table crm.notes (tenant_id uuid not null, id uuid not null, primary key (tenant_id, id)); grant all on crm.notes to strato_app",
			[]string{"crm.notes: another tenant's rows can be read", "crm.notes: can be truncated"}, postgres.RuleEnabled,
		},
		"webhooks that can be read": {
			"grant select (delivery) on crm.inbox to strato_ingest",
			[]string{`crm.inbox: strato_ingest may "select delivery from crm.inbox`}, "",
		},
		"jobs that see customers": {
			"grant usage on schema crm to strato_queue; grant select on crm.contacts to strato_queue",
			[]string{`crm.contacts: strato_queue may "select name from crm.contacts`}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			db := database(t)
			k := newChecker(t, db, db)
			_, err := k.admin.PgConn().Exec(t.Context(), tt.statement).ReadAll()
			require.NoError(t, err)

			findings, err := k.check(t.Context())
			require.NoError(t, err)
			for _, want := range tt.finds {
				requirePrefix(t, findings, want)
			}
			audit, err := postgres.AuditRLS(t.Context(), k.admin, "crm")
			require.NoError(t, err)
			found := map[postgres.Rule]bool{}
			for _, f := range audit {
				found[f.Rule] = true
			}
			require.Equal(t, tt.audit != "", found[tt.audit], "audit: %v", audit)
		})
	}

	t.Run("a setting for the session, behind a pooler", func(t *testing.T) {
		t.Parallel()

		db := database(t)
		k := newChecker(t, db, dbtest.PgBouncer(t, db, 1))
		k.session = true

		findings, err := k.check(t.Context())
		require.NoError(t, err)
		// The setting outlives its transaction, and the next client gets its
		// connection: that one named no tenant and sees one all the same.
		requirePrefix(t, findings, `crm.leads: without a tenant, "select 1 from crm.leads" reaches 1 rows`)
		requirePrefix(t, findings, `crm.messages: without a tenant, "delete from crm.messages" reaches 1 rows`)
	})

	t.Run("a table that cannot be filled", func(t *testing.T) {
		t.Parallel()

		db := database(t)
		k := newChecker(t, db, db)
		_, err := k.admin.Exec(t.Context(), "create table crm.slots (tenant_id uuid not null, span tstzrange not null)")
		require.NoError(t, err)

		_, err = k.check(t.Context())
		require.ErrorContains(t, err, "no value for column span")
	})

	t.Run("a table with a rule that the generator does not know", func(t *testing.T) {
		t.Parallel()

		db := database(t)
		k := newChecker(t, db, db)
		_, err := k.admin.Exec(t.Context(), "create table crm.codes (tenant_id uuid not null, code text not null check (length(code) = 3))")
		require.NoError(t, err)

		_, err = k.check(t.Context())
		require.ErrorContains(t, err, "no row for table crm.codes")
	})
}

func requirePrefix(t *testing.T, list []string, want string) {
	t.Helper()
	for _, s := range list {
		if len(s) >= len(want) && s[:len(want)] == want {
			return
		}
	}
	require.Failf(t, "not found", "want %q in %q", want, list)
}
