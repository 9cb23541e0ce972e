package sdk

import (
	"context"
	"io"
	"time"
)

// Speech is a text to speak.
type Speech struct {
	// IdempotencyKey is the order's id, the same for every attempt at it.
	IdempotencyKey string
	// Text is what to say.
	Text string
	// VoiceID and ModelID are the provider's; an empty model is its default.
	VoiceID, ModelID string
	// Format is "voice_note" for what messengers play as one, else a format of
	// the provider's by its own name.
	Format string
	// Language is a BCP 47 tag; empty to let the provider guess.
	Language string
	// Options are what only this provider understands, by the plugin's own names.
	Options map[string]string
	// KnownKey is the [AudioHead.CacheKey] of audio that the core has kept for
	// this order; empty for none. If the order would sound the same, a speaker
	// that tells keys returns a head with that key and an empty Body, and leaves
	// the provider alone.
	KnownKey string
}

// AudioHead is what is known before the first byte of audio. Zero values mean
// unknown; SampleRate is in Hertz.
type AudioHead struct {
	MIMEType   string
	SampleRate uint32
	// ProviderRequestID is to quote to the provider.
	ProviderRequestID string
	// CacheKey names the audio: same key, same sound. It covers the text, the
	// voice, the model, the format and whatever else shapes the audio.
	CacheKey string
}

// AudioTail is what is known after the last byte of audio. Zero values mean
// unknown; Unit is "character", "second" or the like.
type AudioTail struct {
	Duration    time.Duration
	BilledUnits uint64
	Unit        string
}

// Audio is speech on its way. Whoever reads Body closes it. Tail is called at
// most once, after Body gave [io.EOF]; nil when there is nothing to tell.
type Audio struct {
	Head AudioHead
	Body io.ReadCloser
	Tail func() AudioTail
}

// Speaker turns text into speech. It returns as soon as the provider begins to
// answer, and Body gives the audio as it comes, in pieces of any size. An error
// of Body ends the audio; like that of Synthesize it is preferably a failure.
// When nobody listens any more ctx ends, and with it the provider's work must.
type Speaker interface {
	Synthesize(ctx context.Context, s Speech) (Audio, error)
}

// CallOrder is a telephone call to place.
type CallOrder struct {
	// IdempotencyKey is the order's id; providers that carry a value back get it.
	IdempotencyKey string
	// To is the person, From the number or account to call from.
	To, From Address
	// AgentID is the provider's id of the agent that speaks.
	AgentID string
	// Variables are what the agent is told of the person.
	Variables map[string]string
	// MaxDuration is when to hang up; zero means the provider's limit.
	MaxDuration time.Duration
	// RecordingConsent says that the person agreed to a recording.
	RecordingConsent bool
}

// PlacedCall is the provider's word for a call it took. State is as in
// [CallUpdate]; empty means "queued".
type PlacedCall struct{ ProviderCallID, State string }

// Caller telephones. PlaceCall makes one attempt and returns when the provider
// has taken the order, not when somebody answers; an error without a failure
// means that nobody knows whether the telephone rings. GetCall tells of a call
// what its webhook would have told.
type Caller interface {
	PlaceCall(ctx context.Context, o CallOrder) (PlacedCall, error)
	EndCall(ctx context.Context, providerCallID string) error
	GetCall(ctx context.Context, providerCallID string) (CallUpdate, error)
}
