package hostservice

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/hostv1"
)

// Limits of files.
const (
	maxBlob  = 64 << 20
	maxBlobs = 1 << 30
	maxChunk = 64 << 10
	maxMIME  = 200
	// keepBlobs is how long a file stays.
	keepBlobs = 30 * 24 * time.Hour
	// sweepBlobs is how many old files a write takes away at most.
	sweepBlobs = 100
	// chunk is what a message of a file carries.
	chunk = 16 << 10
)

// blobs keeps files.
type blobs struct {
	hostv1.UnimplementedBlobServiceServer
	*Services
}

// folder is where a tenant's files are.
func (v *Services) folder(t tenant.ID) string { return filepath.Join(v.Blobs, t.String()) }

// Write implements the service. The file is whole on disk before it has a row,
// so that a row without a file cannot be.
func (v *blobs) Write(in grpc.ClientStreamingServer[hostv1.WriteRequest, hostv1.WriteResponse]) error {
	ctx := in.Context()
	t, _, err := target(ctx)
	if err != nil {
		return err
	}
	first, err := in.Recv()
	if err != nil {
		return err
	}
	if _, ok := first.GetPart().(*hostv1.WriteRequest_MimeType); !ok {
		return status.Error(codes.InvalidArgument, "a file begins with its type")
	}
	if m := first.GetMimeType(); len(m) > maxMIME || !utf8.ValidString(m) {
		return status.Errorf(codes.InvalidArgument, "a type is text of at most %d bytes", maxMIME)
	}
	blob, err := v.receive(in, t)
	if err != nil {
		return v.refusal(ctx, "write a file", err)
	}
	blob.mime = first.GetMimeType()
	if err := v.keep(ctx, t, blob); err != nil {
		_ = os.Remove(blob.path)
		return v.refusal(ctx, "write a file", err)
	}
	return in.SendAndClose(&hostv1.WriteResponse{BlobId: blob.id.String(), Sha256: blob.sum, SizeBytes: uint64(blob.size)}) //nolint:gosec // a size
}

// blob is a file that was received.
type blob struct {
	id         uuid.UUID
	path       string
	mime, sum  string
	size       int64
	installing installation.ID
}

// receive writes what comes to a file of its own, which is gone again on failure.
func (v *blobs) receive(in grpc.ClientStreamingServer[hostv1.WriteRequest, hostv1.WriteResponse], t installation.Target) (_ blob, err error) {
	// Not in the order of their making: an id must not be a guess away.
	var random uuid.UUID
	_, _ = rand.Read(random[:])
	b := blob{id: random, path: filepath.Join(v.folder(t.Tenant), random.String()), installing: t.Installation}
	if err := os.MkdirAll(v.folder(t.Tenant), 0o700); err != nil {
		return b, fmt.Errorf("make the folder of files: %w", err)
	}
	f, err := os.OpenFile(b.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return b, fmt.Errorf("make a file: %w", err)
	}
	defer func() {
		if closing := f.Close(); err == nil && closing != nil {
			err = fmt.Errorf("write a file: %w", closing)
		}
		if err != nil {
			_ = os.Remove(b.path)
		}
	}()
	hash := sha256.New()
	for {
		part, err := in.Recv()
		if errors.Is(err, io.EOF) {
			b.sum = hex.EncodeToString(hash.Sum(nil))
			return b, f.Sync()
		}
		if err != nil {
			return b, err
		}
		if len(part.GetChunk()) > maxChunk {
			return b, status.Errorf(codes.InvalidArgument, "a part of a file has at most %d bytes", maxChunk)
		}
		if b.size += int64(len(part.GetChunk())); b.size > maxBlob {
			return b, status.Errorf(codes.ResourceExhausted, "a file has at most %d bytes", maxBlob)
		}
		_, _ = hash.Write(part.GetChunk())
		if _, err := f.Write(part.GetChunk()); err != nil {
			return b, fmt.Errorf("write a file: %w", err)
		}
	}
}

// keep gives a file its row, if there is room, and takes away what is too old.
func (v *blobs) keep(ctx context.Context, t installation.Target, b blob) error {
	old := []uuid.UUID{}
	err := v.Pool.Do(ctx, t.Tenant, func(ctx context.Context, s tenant.Scope) error {
		old = []uuid.UUID{}
		if err := lock(ctx, s, "blobs", t.Installation); err != nil {
			return err
		}
		err := s.Query(ctx, &old, `
			delete from crm.plugin_blobs where tenant_id = $1 and id in (
				select id from crm.plugin_blobs where tenant_id = $1 and installation_id = $2 and created_at < $3 order by created_at limit $4)
			returning id`, s.Tenant(), t.Installation, s.Now().Add(-keepBlobs), int32(sweepBlobs))
		if err != nil {
			return fmt.Errorf("take old files of installation %s away: %w", t.Installation, err)
		}
		var used int64
		err = s.Query(ctx, &used, `select coalesce(sum(size_bytes), 0)::bigint from crm.plugin_blobs where tenant_id = $1 and installation_id = $2`,
			s.Tenant(), t.Installation)
		if err != nil {
			return fmt.Errorf("measure the files of installation %s: %w", t.Installation, err)
		}
		if used+b.size > maxBlobs {
			return status.Errorf(codes.ResourceExhausted, "the files of an installation have at most %d bytes together", maxBlobs)
		}
		_, err = s.Exec(ctx, `
			insert into crm.plugin_blobs (tenant_id, id, installation_id, mime_type, size_bytes, sha256, created_at)
			values ($1, $2, $3, $4, $5, $6, $7)`, s.Tenant(), b.id, t.Installation, b.mime, b.size, b.sum, s.Now())
		if postgres.IsForeignKey(err, "") {
			return installation.ErrNotFound
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, i := range old {
		if err := os.Remove(filepath.Join(v.folder(t.Tenant), i.String())); err != nil && !errors.Is(err, os.ErrNotExist) {
			v.Log.WarnContext(ctx, "an old file of a plugin was not removed", "error", err)
		}
	}
	return nil
}

// Read implements the service. A file of another installation is not found.
func (v *blobs) Read(r *hostv1.ReadRequest, out grpc.ServerStreamingServer[hostv1.ReadResponse]) error {
	ctx := out.Context()
	t, _, err := target(ctx)
	if err != nil {
		return err
	}
	i, err := uuid.Parse(r.GetBlobId())
	if err != nil {
		return status.Error(codes.NotFound, "there is no such file")
	}
	var row struct {
		MimeType  string
		SizeBytes int64
	}
	err = v.Pool.Read(ctx, t.Tenant, func(ctx context.Context, s tenant.Scope) error {
		err := s.Query(ctx, &row, `
			select mime_type, size_bytes from crm.plugin_blobs where tenant_id = $1 and id = $2 and installation_id = $3 and created_at > $4`,
			s.Tenant(), i, t.Installation, s.Now().Add(-keepBlobs))
		if errors.Is(err, sql.ErrNoRows) {
			return status.Error(codes.NotFound, "there is no such file")
		}
		return err
	})
	if err != nil {
		return v.refusal(ctx, "read a file", err)
	}
	f, err := os.Open(filepath.Join(v.folder(t.Tenant), i.String()))
	if err != nil {
		return v.refusal(ctx, "read a file", err)
	}
	defer func() { _ = f.Close() }()
	if err := out.Send(&hostv1.ReadResponse{MimeType: row.MimeType, SizeBytes: uint64(row.SizeBytes)}); err != nil { //nolint:gosec // a size
		return err
	}
	buffer := make([]byte, chunk)
	for {
		n, err := f.Read(buffer)
		if n > 0 {
			if err := out.Send(&hostv1.ReadResponse{Chunk: buffer[:n]}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return v.refusal(ctx, "read a file", fmt.Errorf("read a file: %w", err))
		}
	}
}
