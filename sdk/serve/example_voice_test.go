package serve_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/stratohub/strato/sdk"
)

// siren speaks by making the sound of each letter.
type siren struct{}

// Synthesize makes the siren a speaker. A real one gives the body of the
// provider's answer, whose request was made with ctx: when nobody listens any
// more ctx ends, and the request with it.
func (siren) Synthesize(_ context.Context, s sdk.Speech) (sdk.Audio, error) {
	return sdk.Audio{
		Head: sdk.AudioHead{MIMEType: "audio/ogg", SampleRate: 48_000},
		Body: io.NopCloser(strings.NewReader(strings.Repeat("~", len(s.Text)))),
		Tail: func() sdk.AudioTail { return sdk.AudioTail{BilledUnits: uint64(len(s.Text)), Unit: "character"} },
	}, nil
}

// A speaker gives audio as it comes; what it cost is known at the end.
func Example_speaker() {
	audio, err := siren{}.Synthesize(context.Background(), sdk.Speech{Text: "wiu", Format: "voice_note"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = audio.Body.Close() }()
	sound, err := io.ReadAll(audio.Body)
	fmt.Println(audio.Head.MIMEType, string(sound), err)
	fmt.Println(audio.Tail().BilledUnits, audio.Tail().Unit)
	// Output:
	// audio/ogg ~~~ <nil>
	// 3 character
}
