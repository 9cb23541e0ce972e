package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATE codes that the helpers below know.
const (
	codeUniqueViolation    = "23505"
	codeForeignKey         = "23503"
	codeCheck              = "23514"
	codePrivilege          = "42501" // also what row security answers to a foreign tenant_id
	codeQueryCanceled      = "57014"
	codeSerialization      = "40001"
	codeDeadlock           = "40P01"
	codeLockNotAvailable   = "55P03"
	codeNotSupported       = "0A000"
	codeNoSuchStatement    = "26000"
	codeUndefinedFunction  = "42883"
	codeDatatypeMismatch   = "42804"
	codeTooManyConnections = "53300"
	codeDiskFull           = "53100"
	codeOutOfMemory        = "53200"
	codeAdminShutdown      = "57P01"
	codeCrashShutdown      = "57P02"
	codeCannotConnectNow   = "57P03"
	codeDuplicateObject    = "42710"
	codeInternal           = "XX000"
)

// Code returns the SQLSTATE of err, or "" when err does not come from the
// server.
func Code(err error) string {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pe.Code
	}
	return ""
}

// IsUnique reports whether err says that a row repeats the unique constraint or
// index of that name. An empty name means any.
func IsUnique(err error, constraint string) bool {
	return isConstraint(err, codeUniqueViolation, constraint)
}

// IsForeignKey reports whether err says that a row would refer to nothing, or
// that something still refers to it, by the foreign key of that name. An empty
// name means any.
func IsForeignKey(err error, constraint string) bool {
	return isConstraint(err, codeForeignKey, constraint)
}

// IsCheck reports whether err says that a row breaks the check constraint of
// that name. An empty name means any.
func IsCheck(err error, constraint string) bool {
	return isConstraint(err, codeCheck, constraint)
}

func isConstraint(err error, code, constraint string) bool {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pe.Code == code && (constraint == "" || pe.ConstraintName == constraint)
}

// IsDenied reports whether err says that the role may not do that, which is
// also the answer to writing a row of another tenant.
func IsDenied(err error) bool { return Code(err) == codePrivilege }

// IsTimeout reports whether err says that a statement or a wait for a lock took
// longer than allowed, or that the caller gave up.
func IsTimeout(err error) bool {
	switch Code(err) {
	case codeQueryCanceled, codeLockNotAvailable:
		return true
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// IsRetryable reports whether the transaction failed only because of others
// beside it (serialisation failure or deadlock) and may well succeed when it is
// run again from its start.
func IsRetryable(err error) bool {
	switch Code(err) {
	case codeSerialization, codeDeadlock:
		return true
	}
	return false
}

// IsDiskFull reports whether the server has no room left to write.
func IsDiskFull(err error) bool { return Code(err) == codeDiskFull }

// IsUnavailable reports whether the database cannot serve at the moment:
// nothing listens, it is starting or stopping, it has no connection, memory or
// disk to spare, or the connection broke. When a COMMIT was under way its
// outcome is unknown. A caller that gave up is not counted.
func IsUnavailable(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pe.Code {
		case codeTooManyConnections, codeDiskFull, codeOutOfMemory, codeAdminShutdown, codeCrashShutdown, codeCannotConnectNow:
			return true
		}
		return strings.HasPrefix(pe.Code, "08") // connection exceptions
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return true
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// staleStatement reports whether a prepared statement no longer fits: the
// schema changed under it, or a pooler's server has never heard of it.
func staleStatement(err error) bool {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	switch pe.Code {
	case codeNotSupported:
		return pe.Routine == "RevalidateCachedQuery"
	case codeNoSuchStatement, codeUndefinedFunction, codeDatatypeMismatch:
		return true
	}
	return false
}
