package sdk

import "context"

// LeadPage is what a poll brought.
type LeadPage struct {
	// Events are enquiries in the order in which they were made, at most 1000;
	// their payload is usually a [LeadCaptured].
	Events []Event
	// NextCursor is where to go on; it is kept only together with the events.
	NextCursor string
	// More asks to be polled again at once.
	More bool
}

// LeadSource is polled for enquiries. The cursor is the last page's, empty for
// the first poll; limit is how many events are wanted at most.
type LeadSource interface {
	PullLeads(ctx context.Context, cursor string, limit int) (LeadPage, error)
}
