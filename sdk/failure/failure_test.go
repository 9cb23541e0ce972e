package failure_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/pluginv1"
)

func TestIs(t *testing.T) {
	t.Parallel()

	err := fmt.Errorf("send: %w", &failure.Failure{Code: failure.Auth, ProviderCode: "190", Message: "no"})
	require.ErrorIs(t, err, &failure.Failure{Code: failure.Auth})
	require.NotErrorIs(t, err, &failure.Failure{Code: failure.Permission})
	require.EqualError(t, err, "send: auth (190): no")
	var f *failure.Failure
	require.ErrorAs(t, err, &f)
	require.EqualError(t, failure.New(failure.Media, "file %d", 7), "media: file 7")
}

// The numbers are those of the wire, and the names follow them.
func TestCodesAreThoseOfTheWire(t *testing.T) {
	t.Parallel()

	for number, name := range pluginv1.FailureCode_name {
		code := failure.Code(number)
		require.Equal(t, name, "FAILURE_CODE_"+strings.ToUpper(code.String()))
	}
	require.Equal(t, "unspecified", failure.Code(-1).String())
	require.Equal(t, "unspecified", failure.Code(len(pluginv1.FailureCode_name)).String())
	require.Equal(t, int(failure.NotSent), int(pluginv1.Outcome_OUTCOME_NOT_SENT))
	require.Equal(t, int(failure.Unknown), int(pluginv1.Outcome_OUTCOME_UNKNOWN))
	require.Equal(t, int(failure.Plugin), int(pluginv1.Blame_BLAME_PLUGIN))
}
