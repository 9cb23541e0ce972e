package rest

import (
	"strconv"
	"strings"
	"time"
)

// Tagged is an output that has versions. Its tag becomes the ETag header.
type Tagged interface {
	// Tag returns a value from [TagTime] or [TagInt].
	Tag() string
}

// TagTime is the version of something that changes its time, kept to the
// microsecond.
func TagTime(t time.Time) string { return `"` + strconv.FormatInt(t.UnixMicro(), 36) + `"` }

// TagInt is the version of something that counts its changes.
func TagInt(n int64) string { return `"` + strconv.FormatInt(n, 36) + `"` }

// Match is the precondition of an update: the version the caller saw. Embed it
// in a use case's input. Without the header nothing is checked.
type Match struct {
	IfMatch string `header:"If-Match" maxLength:"256" doc:"ETag of what you read; the update is refused if it has changed since."`
}

// Check returns [ErrStale] unless the tag is among those the caller accepts.
// Call it with the row locked.
func (m Match) Check(tag string) error {
	if m.IfMatch == "" || Matches(m.IfMatch, tag) {
		return nil
	}
	return ErrStale
}

// Matches reports whether a header such as If-Match or If-None-Match names the
// tag, weak or not, or is "*".
func Matches(header, tag string) bool {
	for item := range strings.SplitSeq(header, ",") {
		item = strings.TrimSpace(item)
		if item == "*" || strings.TrimPrefix(item, "W/") == tag {
			return true
		}
	}
	return false
}
