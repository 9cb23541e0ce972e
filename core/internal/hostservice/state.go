package hostservice

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/hostv1"
)

// Limits of an installation's state.
const (
	maxKey      = 200
	maxValue    = 64 << 10
	maxState    = 1 << 20
	maxKeys     = 1000
	statePage   = 100
	longestKeep = 10 * 365 * 24 * time.Hour
)

// states serves an installation's small values.
type states struct {
	hostv1.UnimplementedStateServiceServer
	*Services
}

// value is a stored one.
type value struct {
	Value   []byte
	Version int64
}

// current reads a key, nil if there is none.
func current(ctx context.Context, s tenant.Scope, i installation.ID, key string) (*value, error) {
	v := &value{}
	err := s.Query(ctx, v, `
		select value, version from crm.plugin_state
		where tenant_id = $1 and installation_id = $2 and key = $3 and (expires_at is null or expires_at > $4)`,
		s.Tenant(), i, key, s.Now())
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // none is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("read state %q of installation %s: %w", key, i, err)
	}
	return v, nil
}

func (v *value) version() uint64 {
	if v == nil {
		return 0
	}
	return uint64(v.Version) //nolint:gosec // microseconds of our age
}

// Get implements the service.
func (v *states) Get(ctx context.Context, r *hostv1.GetRequest) (*hostv1.GetResponse, error) {
	t, _, err := target(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkKey(r.GetKey()); err != nil {
		return nil, err
	}
	var have *value
	err = v.Pool.Read(ctx, t.Tenant, func(ctx context.Context, s tenant.Scope) (err error) {
		have, err = current(ctx, s, t.Installation, r.GetKey())
		return err
	})
	if err != nil {
		return nil, v.refusal(ctx, "read state", err)
	}
	if have == nil {
		return &hostv1.GetResponse{}, nil
	}
	return &hostv1.GetResponse{Value: have.Value, Version: have.version(), Found: true}, nil
}

// Put implements the service.
func (v *states) Put(ctx context.Context, r *hostv1.PutRequest) (*hostv1.PutResponse, error) {
	t, _, err := target(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkKey(r.GetKey()); err != nil {
		return nil, err
	}
	if len(r.GetValue()) > maxValue {
		return nil, status.Errorf(codes.ResourceExhausted, "a value has at most %d bytes, this one has %d", maxValue, len(r.GetValue()))
	}
	ttl := r.GetTtl().AsDuration()
	if r.Ttl != nil && (ttl <= 0 || ttl > longestKeep) {
		return nil, status.Error(codes.InvalidArgument, "a time to live is more than zero and at most ten years")
	}
	out := &hostv1.PutResponse{}
	err = v.Pool.Do(ctx, t.Tenant, func(ctx context.Context, s tenant.Scope) error {
		if err := lock(ctx, s, "state", t.Installation); err != nil {
			return err
		}
		have, err := current(ctx, s, t.Installation, r.GetKey())
		if err != nil {
			return err
		}
		out.Version, out.Applied = have.version(), false
		if r.ExpectedVersion != nil && r.GetExpectedVersion() != have.version() {
			return nil
		}
		if err := room(ctx, s, t.Installation, r); err != nil {
			return err
		}
		out.Version, err = write(ctx, s, t.Installation, r, ttl)
		out.Applied = err == nil
		return err
	})
	if err != nil {
		return nil, v.refusal(ctx, "write state", err)
	}
	return out, nil
}

// room forgets what has expired and refuses a value for which there is no room.
func room(ctx context.Context, s tenant.Scope, i installation.ID, r *hostv1.PutRequest) error {
	_, err := s.Exec(ctx, `delete from crm.plugin_state where tenant_id = $1 and installation_id = $2 and expires_at <= $3`, s.Tenant(), i, s.Now())
	if err != nil {
		return fmt.Errorf("forget expired state of installation %s: %w", i, err)
	}
	var others struct{ Keys, Bytes int64 }
	err = s.Query(ctx, &others, `
		select count(*) as keys, coalesce(sum(octet_length(key) + octet_length(value)), 0)::bigint as bytes from crm.plugin_state
		where tenant_id = $1 and installation_id = $2 and key <> $3`, s.Tenant(), i, r.GetKey())
	if err != nil {
		return fmt.Errorf("measure the state of installation %s: %w", i, err)
	}
	if others.Keys >= maxKeys {
		return status.Errorf(codes.ResourceExhausted, "an installation has at most %d keys", maxKeys)
	}
	if others.Bytes+int64(len(r.GetKey())+len(r.GetValue())) > maxState {
		return status.Errorf(codes.ResourceExhausted, "an installation's state has at most %d bytes, keys included", maxState)
	}
	return nil
}

// write stores a value under a version that was never there: the time, unless
// the clock stands still.
func write(ctx context.Context, s tenant.Scope, i installation.ID, r *hostv1.PutRequest, ttl time.Duration) (uint64, error) {
	var expires *time.Time
	if ttl > 0 {
		at := s.Now().Add(ttl)
		expires = &at
	}
	content := r.GetValue()
	if content == nil {
		content = []byte{}
	}
	v := &value{}
	err := s.Query(ctx, &v.Version, `
		insert into crm.plugin_state as p (tenant_id, installation_id, key, value, version, expires_at, updated_at)
		values ($1, $2, $3, $4, $5, $6, $7)
		on conflict (tenant_id, installation_id, key) do update
		set value = excluded.value, version = greatest(p.version + 1, excluded.version), expires_at = excluded.expires_at, updated_at = excluded.updated_at
		returning version`, s.Tenant(), i, r.GetKey(), content, s.Now().UnixMicro(), expires, s.Now())
	if postgres.IsForeignKey(err, "") {
		return 0, installation.ErrNotFound
	}
	if err != nil {
		return 0, fmt.Errorf("write state %q of installation %s: %w", r.GetKey(), i, err)
	}
	return v.version(), nil
}

// Delete implements the service.
func (v *states) Delete(ctx context.Context, r *hostv1.DeleteRequest) (*hostv1.DeleteResponse, error) {
	t, _, err := target(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkKey(r.GetKey()); err != nil {
		return nil, err
	}
	out := &hostv1.DeleteResponse{}
	err = v.Pool.Do(ctx, t.Tenant, func(ctx context.Context, s tenant.Scope) error {
		if err := lock(ctx, s, "state", t.Installation); err != nil {
			return err
		}
		have, err := current(ctx, s, t.Installation, r.GetKey())
		if err != nil {
			return err
		}
		out.Applied = r.ExpectedVersion == nil || r.GetExpectedVersion() == have.version()
		if !out.Applied || have == nil {
			return nil
		}
		_, err = s.Exec(ctx, `delete from crm.plugin_state where tenant_id = $1 and installation_id = $2 and key = $3`, s.Tenant(), t.Installation, r.GetKey())
		return err
	})
	if err != nil {
		return nil, v.refusal(ctx, "delete state", err)
	}
	return out, nil
}

// List implements the service. A page's token is its last key.
func (v *states) List(ctx context.Context, r *hostv1.ListRequest) (*hostv1.ListResponse, error) {
	t, _, err := target(ctx)
	if err != nil {
		return nil, err
	}
	if !text(r.GetPrefix()) || !text(r.GetPageToken()) {
		return nil, status.Error(codes.InvalidArgument, "the prefix and the page are text of at most 200 bytes")
	}
	size := int(min(r.GetPageSize(), statePage))
	if size == 0 {
		size = statePage
	}
	keys := []string{}
	err = v.Pool.Read(ctx, t.Tenant, func(ctx context.Context, s tenant.Scope) error {
		return s.Query(ctx, &keys, `
			select key from crm.plugin_state
			where tenant_id = $1 and installation_id = $2 and key ^@ $3 and key > $4 and (expires_at is null or expires_at > $5)
			order by key limit $6`, s.Tenant(), t.Installation, r.GetPrefix(), r.GetPageToken(), s.Now(), int32(size)+1) //nolint:gosec // at most 100
	})
	if err != nil {
		return nil, v.refusal(ctx, "list state", err)
	}
	out := &hostv1.ListResponse{Keys: keys}
	if len(keys) > size {
		out.Keys, out.NextPageToken = keys[:size], keys[size-1]
	}
	return out, nil
}

func checkKey(key string) error {
	if key == "" || !text(key) {
		return status.Errorf(codes.InvalidArgument, "a key is text of 1 to %d bytes", maxKey)
	}
	return nil
}

// text reports whether a string can be part of a key.
func text(s string) bool {
	return len(s) <= maxKey && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}
