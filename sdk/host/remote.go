package host

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/internal/wire"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// Errors of streams that a plugin breaks off or fills with what does not belong.
var (
	errCutOff   = errors.New("the plugin's audio ended without a tail")
	errNoHead   = errors.New("the plugin's audio came without a head")
	errBigChunk = errors.New("the plugin's audio came in a chunk of more than 16 KiB")
)

// maxChunk is the largest part of a stream that the protocol allows.
const maxChunk = 16 << 10

// Speaker speaks with the voice of one installation. Its errors are failures
// if the plugin or its provider refused, else the connection's.
func (c *Clients) Speaker(i *pluginv1.Installation) sdk.Speaker { return &speaker{c.Voice, i} }

// Caller telephones for one installation; see [Clients.Speaker] for its errors.
func (c *Clients) Caller(i *pluginv1.Installation) sdk.Caller { return &caller{c.Call, i} }

// Templates manages the templates of one installation; see [Clients.Speaker]
// for its errors.
func (c *Clients) Templates(i *pluginv1.Installation) sdk.TemplateManager {
	return &templates{c.Template, i}
}

// Leads polls for the enquiries of one installation; see [Clients.Speaker] for
// its errors.
func (c *Clients) Leads(i *pluginv1.Installation) sdk.LeadSource { return &leads{c.LeadSource, i} }

// refused is the failure of an answer as an error; an untyped nil for none.
func refused(f *pluginv1.Failure) error {
	if f == nil {
		return nil
	}
	return wire.ToFailure(f)
}

type speaker struct {
	client       pluginv1.VoiceServiceClient
	installation *pluginv1.Installation
}

// Synthesize implements [sdk.Speaker]. Closing the body ends the plugin's work.
func (s *speaker) Synthesize(ctx context.Context, speech sdk.Speech) (sdk.Audio, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := s.client.Synthesize(ctx, wire.FromSpeech(s.installation, speech))
	if err != nil {
		cancel()
		return sdk.Audio{}, err
	}
	a := &audio{stream: stream, cancel: cancel}
	head, err := a.head()
	if err != nil {
		cancel()
		return sdk.Audio{}, err
	}
	return sdk.Audio{Head: head, Body: a, Tail: func() sdk.AudioTail { return a.tail }}, nil
}

// audio reads a stream. One goroutine at a time may use it.
type audio struct {
	stream grpc.ServerStreamingClient[pluginv1.SynthesizeResponse]
	cancel context.CancelFunc
	rest   []byte
	tail   sdk.AudioTail
	err    error // ends the audio
}

func (a *audio) head() (sdk.AudioHead, error) {
	m, err := a.stream.Recv()
	if errors.Is(err, io.EOF) {
		return sdk.AudioHead{}, errNoHead
	}
	if err != nil {
		return sdk.AudioHead{}, err
	}
	switch p := m.GetPart().(type) {
	case *pluginv1.SynthesizeResponse_Head:
		return wire.ToAudioHead(p.Head), nil
	case *pluginv1.SynthesizeResponse_Failure:
		a.finish()
		return sdk.AudioHead{}, refused(p.Failure)
	default:
		return sdk.AudioHead{}, errNoHead
	}
}

// Read implements [io.Reader]. It gives [io.EOF] only after the tail.
func (a *audio) Read(to []byte) (int, error) {
	for len(a.rest) == 0 && a.err == nil {
		m, err := a.stream.Recv()
		if errors.Is(err, io.EOF) {
			err = errCutOff
		}
		if err != nil {
			a.err = err
			break
		}
		switch p := m.GetPart().(type) {
		case *pluginv1.SynthesizeResponse_Chunk:
			if a.rest = p.Chunk; len(p.Chunk) > maxChunk {
				a.rest, a.err = nil, errBigChunk
			}
		case *pluginv1.SynthesizeResponse_Tail:
			a.tail, a.err = wire.ToAudioTail(p.Tail), io.EOF
			a.finish()
		case *pluginv1.SynthesizeResponse_Failure:
			a.err = refused(p.Failure)
			a.finish()
		default: // a newer plugin's
		}
	}
	if len(a.rest) == 0 {
		return 0, a.err
	}
	n := copy(to, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// finish takes the end of the stream, so that the call counts as done and not
// as given up. The plugin has nothing more to say.
func (a *audio) finish() { _, _ = a.stream.Recv() }

// Close implements [io.Closer].
func (a *audio) Close() error {
	a.cancel()
	return nil
}

type caller struct {
	client       pluginv1.CallServiceClient
	installation *pluginv1.Installation
}

// PlaceCall implements [sdk.Caller].
func (c *caller) PlaceCall(ctx context.Context, o sdk.CallOrder) (sdk.PlacedCall, error) {
	r, err := c.client.PlaceCall(ctx, wire.FromCallOrder(c.installation, o))
	if err != nil {
		return sdk.PlacedCall{}, err
	}
	return wire.ToPlacedCall(r), refused(r.GetFailure())
}

// EndCall implements [sdk.Caller].
func (c *caller) EndCall(ctx context.Context, id string) error {
	r, err := c.client.EndCall(ctx, &pluginv1.EndCallRequest{Installation: c.installation, ProviderCallId: id})
	if err != nil {
		return err
	}
	return refused(r.GetFailure())
}

// GetCall implements [sdk.Caller].
func (c *caller) GetCall(ctx context.Context, id string) (sdk.CallUpdate, error) {
	r, err := c.client.GetCall(ctx, &pluginv1.GetCallRequest{Installation: c.installation, ProviderCallId: id})
	if err != nil {
		return sdk.CallUpdate{}, err
	}
	return wire.ToCallUpdate(r.GetCall()), refused(r.GetFailure())
}

type templates struct {
	client       pluginv1.TemplateServiceClient
	installation *pluginv1.Installation
}

// ListTemplates implements [sdk.TemplateManager].
func (t *templates) ListTemplates(ctx context.Context, pageToken string) ([]sdk.TemplateInfo, string, error) {
	r, err := t.client.ListTemplates(ctx, &pluginv1.ListTemplatesRequest{Installation: t.installation, PageToken: pageToken})
	if err != nil {
		return nil, "", err
	}
	return wire.ToTemplateInfos(r.GetTemplates()), r.GetNextPageToken(), refused(r.GetFailure())
}

// SubmitTemplate implements [sdk.TemplateManager].
func (t *templates) SubmitTemplate(ctx context.Context, key string, i sdk.TemplateInfo) (sdk.TemplateInfo, error) {
	r, err := t.client.SubmitTemplate(ctx, &pluginv1.SubmitTemplateRequest{
		Installation: t.installation, IdempotencyKey: key, Template: wire.FromTemplateInfo(i),
	})
	if err != nil {
		return sdk.TemplateInfo{}, err
	}
	return wire.ToTemplateInfo(r.GetTemplate()), refused(r.GetFailure())
}

// DeleteTemplate implements [sdk.TemplateManager].
func (t *templates) DeleteTemplate(ctx context.Context, name, language string) error {
	r, err := t.client.DeleteTemplate(ctx, &pluginv1.DeleteTemplateRequest{Installation: t.installation, Name: name, Language: language})
	if err != nil {
		return err
	}
	return refused(r.GetFailure())
}

type leads struct {
	client       pluginv1.LeadSourceServiceClient
	installation *pluginv1.Installation
}

// PullLeads implements [sdk.LeadSource]. A limit of zero leaves it to the plugin.
func (l *leads) PullLeads(ctx context.Context, cursor string, limit int) (sdk.LeadPage, error) {
	r, err := l.client.PullLeads(ctx, &pluginv1.PullLeadsRequest{
		Installation: l.installation, Cursor: cursor, Limit: uint32(min(max(limit, 0), 1000)),
	})
	if err != nil {
		return sdk.LeadPage{}, err
	}
	return wire.ToLeadPage(r), refused(r.GetFailure())
}
