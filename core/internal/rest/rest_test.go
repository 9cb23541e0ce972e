package rest_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/rest"
)

type row struct {
	ID uuid.UUID
	At time.Time
}

type key struct {
	At time.Time `json:"at"`
	ID uuid.UUID `json:"id"`
}

func rows(n int) []row {
	all := make([]row, n)
	for i := range all {
		all[i] = row{uuid.Must(uuid.NewV7()), time.UnixMicro(1_700_000_000_000_000 + int64(i)).UTC()}
	}
	return all
}

func TestPages(t *testing.T) {
	t.Parallel()

	all := rows(5)
	keyOf := func(r row) key { return key{r.At, r.ID} }

	first := rest.NewPage(rest.PageQuery{Limit: 2}, all[:3], keyOf)
	require.Len(t, first.Items, 2)
	require.NotNil(t, first.Next)

	k, err := rest.Key[key](rest.PageQuery{After: *first.Next, Limit: 2})
	require.NoError(t, err)
	require.Equal(t, all[1].ID, k.ID)
	require.True(t, all[1].At.Equal(k.At))

	last := rest.NewPage(rest.PageQuery{Limit: 2}, all[4:], keyOf)
	require.Nil(t, last.Next)
	none := rest.NewPage(rest.PageQuery{}, []row(nil), keyOf)
	text, err := json.Marshal(none)
	require.NoError(t, err)
	require.JSONEq(t, `{"items":[],"next":null}`, string(text))

	k, err = rest.Key[key](rest.PageQuery{})
	require.NoError(t, err)
	require.Nil(t, k)

	shown := rest.MapPage(first, func(r row) string { return r.ID.String() })
	require.Equal(t, first.Next, shown.Next)
	require.Equal(t, all[0].ID.String(), shown.Items[0])
}

func TestMadeUpCursors(t *testing.T) {
	t.Parallel()

	raw := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for name, after := range map[string]string{
		"not base64":      "%%%",
		"not JSON":        raw("hello"),
		"another list's":  raw(`{"name":"x"}`),
		"a field missing": raw(`{"id":"0190f3a0-0000-7000-8000-000000000000"}`),
		"more behind":     raw(`{"at":"2026-01-01T00:00:00Z","id":"0190f3a0-0000-7000-8000-000000000000"} `),
		"not an id":       raw(`{"at":"2026-01-01T00:00:00Z","id":"7"}`),
		"padded":          base64.URLEncoding.EncodeToString([]byte(`{"at":"2026-01-01T00:00:00Z"}`)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := rest.Key[key](rest.PageQuery{After: after})
			require.ErrorIs(t, err, rest.ErrCursor)
		})
	}
}

func TestSize(t *testing.T) {
	t.Parallel()

	for limit, want := range map[int]int{-1: 50, 0: 50, 1: 1, 100: 100, 101: 100} {
		require.Equal(t, want, rest.PageQuery{Limit: limit}.Size())
		require.Equal(t, want+1, rest.PageQuery{Limit: limit}.Fetch())
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()

	tag := rest.TagTime(time.UnixMicro(1_700_000_000_000_000))
	other := rest.TagTime(time.UnixMicro(1_700_000_000_000_001))
	require.NotEqual(t, tag, other)

	for header, ok := range map[string]bool{
		"": true, "*": true, tag: true, "W/" + tag: true, other + ", " + tag: true, other: false, "x": false, rest.TagInt(1): false,
	} {
		err := rest.Match{IfMatch: header}.Check(tag)
		if ok {
			require.NoError(t, err, header)
		} else {
			require.ErrorIs(t, err, rest.ErrStale, header)
		}
	}
}
