package fault_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/fault"
)

func TestErrorMatchesByCode(t *testing.T) {
	t.Parallel()

	base := fault.New(fault.Conflict, "lead.stage", "The lead cannot move to that stage.")
	refined := fmt.Errorf("move lead: %w", base.At("/stage", "not reachable").With(errors.New("row 7")))

	require.ErrorIs(t, refined, base)
	require.NotErrorIs(t, refined, fault.New(fault.Conflict, "lead.merged", "It is gone."))
	require.Equal(t, fault.Conflict, fault.KindOf(refined))
}

func TestRefiningLeavesTheOriginal(t *testing.T) {
	t.Parallel()

	base := fault.New(fault.Invalid, "lead.invalid", "The lead is not valid.").At("/name", "is empty")

	one := base.At("/a", "first").Adding("choice", 1)
	two := base.At("/b", "second").After(time.Second).Saying("Other words.").Adding("choice", 2)

	require.Len(t, base.Fields, 1)
	require.Nil(t, base.Extra)
	require.Zero(t, base.RetryAfter)
	require.Equal(t, "/a", one.Fields[1].Pointer)
	require.Equal(t, "/b", two.Fields[1].Pointer)
	require.Equal(t, 1, one.Extra["choice"])
	require.Equal(t, "Other words.", two.Words)
}

func TestCauseIsForTheLog(t *testing.T) {
	t.Parallel()

	cause := errors.New("password is hunter2")
	err := fault.New(fault.Unavailable, "plugin.down", "The plugin does not answer.").With(cause)

	require.ErrorIs(t, err, cause)
	require.ErrorContains(t, err, "hunter2")
	require.NotContains(t, err.Words, "hunter2")
}

func TestKindOfStrangers(t *testing.T) {
	t.Parallel()

	require.Equal(t, fault.Internal, fault.KindOf(errors.New("boom")))
	require.Nil(t, fault.Of(errors.New("boom")))
	require.Equal(t, "internal", fault.Kind(99).String())
	require.Equal(t, "unavailable", fault.Unavailable.String())
}

func TestJoin(t *testing.T) {
	t.Parallel()

	invalid := fault.New(fault.Invalid, "lead.invalid", "The lead is not valid.")
	boom := errors.New("boom")

	for name, tt := range map[string]struct {
		errs   []error
		want   error
		fields int
	}{
		"nothing":        {nil, nil, 0},
		"only nils":      {[]error{nil, nil}, nil, 0},
		"fields add up":  {[]error{invalid.At("/a", "x"), nil, invalid.At("/b", "y")}, invalid, 2},
		"a failure wins": {[]error{invalid.At("/a", "x"), boom}, boom, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			err := fault.Join(tt.errs...)
			if tt.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, tt.want)
			if e := fault.Of(err); e != nil {
				require.Len(t, e.Fields, tt.fields)
			}
		})
	}
}
