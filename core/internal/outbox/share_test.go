package outbox

import (
	"testing"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/tenant"
)

// A tenant with much to send never has all workers: its job steps back.
func TestTenantHasItsShareOfWorkers(t *testing.T) {
	t.Parallel()

	big, small := id.From[tenant.Tenant](uuid.New()), id.From[tenant.Tenant](uuid.New())
	o := &Outbox{share: newShare(2)}
	leave, ok := o.share.enter(big)
	require.True(t, ok)
	_, ok = o.share.enter(big)
	require.True(t, ok)
	err := o.Work(t.Context(), &queue.Job[conversation.Deliver]{Args: conversation.Deliver{Tenant: big}})
	var snooze *river.JobSnoozeError
	require.ErrorAs(t, err, &snooze)
	require.GreaterOrEqual(t, snooze.Duration, behind)
	leaveSmall, ok := o.share.enter(small)
	require.True(t, ok)
	leaveSmall()
	leave()
	_, ok = o.share.enter(big)
	require.True(t, ok)
	require.Len(t, o.share.busy, 1, "who left is forgotten")
}
