package postgres

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
)

// Role is a login of the database server. Which rights each has is said in the
// package's Bootstrap and in the migrations.
type Role string

// The roles that log in. None owns a table.
const (
	RoleApp    Role = "strato_app"    // all tenant work, under row security; the control plane
	RoleSys    Role = "strato_sys"    // maintenance across tenants; bypasses row security
	RoleIngest Role = "strato_ingest" // inserts into the inbox and the job table, nothing else
	RoleQueue  Role = "strato_queue"  // everything in schema river, nothing else
)

// The roles that do not log in.
const (
	roleOwner  = "strato_owner"  // owns schemas, tables and functions
	roleSearch = "strato_search" // owns the search functions; bypasses row security
)

// minKey is the least length of a key that passwords are derived from.
const minKey = 16

// RoleURL returns adminURL with the role's name and password in place of the
// admin's. The password is derived from key, so that nothing has to be stored
// and every node of an installation comes to the same one. adminURL has to be a
// URL (postgres://…), not a list of words.
func RoleURL(adminURL string, r Role, key []byte) (string, error) {
	u, err := url.Parse(adminURL)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		// The parser's own error would repeat the URL and the password in it.
		return "", errors.New("database URL: want postgres://user:password@host:port/database")
	}
	password, err := rolePassword(r, key)
	if err != nil {
		return "", err
	}
	u.User = url.UserPassword(string(r), password)
	// A user or password among the parameters would win over ours.
	q := u.Query()
	q.Del("user")
	q.Del("password")
	u.RawQuery = q.Encode()
	return u.String(), nil
}

func rolePassword(r Role, key []byte) (string, error) {
	if len(key) < minKey {
		return "", fmt.Errorf("derive password of %s: the key has %d bytes, want at least %d", r, len(key), minKey)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("strato-role:" + string(r)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}
