package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/postgres"
)

func TestErrors(t *testing.T) {
	t.Parallel()

	server := func(code, constraint string) error {
		return fmt.Errorf("save lead: %w", &pgconn.PgError{Code: code, ConstraintName: constraint})
	}
	for name, c := range map[string]struct {
		err                                               error
		unique, foreign, check                            bool
		denied, timeout, retryable, unavailable, diskFull bool
	}{
		"none":                 {},
		"another":              {err: errors.New("other")},
		"no rows":              {err: pgx.ErrNoRows},
		"unique":               {err: server("23505", "leads_pkey"), unique: true},
		"foreign key":          {err: server("23503", "leads_pkey"), foreign: true},
		"check":                {err: server("23514", "leads_pkey"), check: true},
		"unique elsewhere":     {err: server("23505", "others_pkey")},
		"row security":         {err: server("42501", ""), denied: true},
		"statement timeout":    {err: server("57014", ""), timeout: true},
		"lock timeout":         {err: server("55P03", ""), timeout: true},
		"deadline":             {err: fmt.Errorf("x: %w", context.DeadlineExceeded), timeout: true},
		"serialisation":        {err: server("40001", ""), retryable: true},
		"deadlock":             {err: server("40P01", ""), retryable: true},
		"too many connections": {err: server("53300", ""), unavailable: true},
		"disk full":            {err: server("53100", ""), unavailable: true, diskFull: true},
		"admin shutdown":       {err: server("57P01", ""), unavailable: true},
		"starting":             {err: server("57P03", ""), unavailable: true},
		"connection exception": {err: server("08006", ""), unavailable: true},
		"cut off":              {err: fmt.Errorf("receive: %w", io.ErrUnexpectedEOF), unavailable: true},
		"caller left":          {err: errors.Join(context.Canceled, io.EOF), timeout: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.unique, postgres.IsUnique(c.err, "leads_pkey"))
			require.Equal(t, c.foreign, postgres.IsForeignKey(c.err, "leads_pkey"))
			require.Equal(t, c.check, postgres.IsCheck(c.err, "leads_pkey"))
			require.Equal(t, c.denied, postgres.IsDenied(c.err))
			require.Equal(t, c.timeout, postgres.IsTimeout(c.err))
			require.Equal(t, c.retryable, postgres.IsRetryable(c.err))
			require.Equal(t, c.unavailable, postgres.IsUnavailable(c.err))
			require.Equal(t, c.diskFull, postgres.IsDiskFull(c.err))
		})
	}
	require.True(t, postgres.IsUnique(server("23505", "anything"), ""))

	pool, err := postgres.NewPool(t.Context(), "postgres://nobody:s3cret@127.0.0.1:1/none?sslmode=disable", postgres.PoolConfig{})
	require.NoError(t, err, "a pool connects when it is used")
	defer pool.Close()
	err = pool.Ping(t.Context())
	require.True(t, postgres.IsUnavailable(err), "%v", err)
	require.NotContains(t, err.Error(), "s3cret")
	_, err = postgres.NewPool(t.Context(), "postgres://nobody:s3cret@127.0.0.1:port/none", postgres.PoolConfig{})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "s3cret")
}
