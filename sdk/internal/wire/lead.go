package wire

import (
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// ToLeadPage reads what a poll brought; its failure is apart.
func ToLeadPage(p *pluginv1.PullLeadsResponse) sdk.LeadPage {
	return sdk.LeadPage{Events: ToEvents(p.GetEvents()), NextCursor: p.GetNextCursor(), More: p.GetMore()}
}

// FromLeadPage writes what a poll brought.
func FromLeadPage(l sdk.LeadPage) *pluginv1.PullLeadsResponse {
	return &pluginv1.PullLeadsResponse{Events: FromEvents(l.Events), NextCursor: l.NextCursor, More: l.More}
}
