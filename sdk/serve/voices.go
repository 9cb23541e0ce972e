package serve

import (
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/internal/wire"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// maxIdleReads is how often a body may give nothing before it counts as stuck.
const maxIdleReads = 100

// voices serves speech.
type voices[T any] struct {
	pluginv1.UnimplementedVoiceServiceServer
	server *server[T]
}

// Synthesize implements the service: the head, the audio in chunks, the tail.
// A stream without a tail or a failure at its end was cut off.
func (v *voices[T]) Synthesize(r *pluginv1.SynthesizeRequest, out grpc.ServerStreamingServer[pluginv1.SynthesizeResponse]) error {
	ctx := out.Context()
	log := v.server.logFor(ctx, r.GetInstallation())
	fail := func(err error, otherwise failure.Outcome) error {
		if ctx.Err() != nil { // nobody listens any more: no fault of the plugin's
			return status.FromContextError(ctx.Err()).Err()
		}
		return out.Send(&pluginv1.SynthesizeResponse{Part: &pluginv1.SynthesizeResponse_Failure{
			Failure: refusal(log, "Synthesize", err, otherwise),
		}})
	}
	value, release, err := v.server.instance(ctx, r.GetInstallation())
	if err != nil {
		return fail(err, failure.NotSent)
	}
	defer release()
	speaker, ok := any(value).(sdk.Speaker)
	if !ok {
		return status.Error(codes.Unimplemented, "this plugin does not speak")
	}
	audio, err := speaker.Synthesize(ctx, wire.ToSpeech(r))
	if err == nil && audio.Body == nil {
		err = errors.New("the audio has no body")
	}
	if err != nil {
		return fail(err, failure.Unknown)
	}
	defer func() { _ = audio.Body.Close() }()
	head := &pluginv1.SynthesizeResponse_Head{Head: wire.FromAudioHead(audio.Head)}
	if err := out.Send(&pluginv1.SynthesizeResponse{Part: head}); err != nil {
		return err
	}
	read, sent := sendAudio(out, audio.Body)
	if sent != nil {
		return sent
	}
	if read != nil {
		return fail(read, failure.Unknown)
	}
	tail := &pluginv1.AudioTail{}
	if audio.Tail != nil {
		tail = wire.FromAudioTail(audio.Tail())
	}
	return out.Send(&pluginv1.SynthesizeResponse{Part: &pluginv1.SynthesizeResponse_Tail{Tail: tail}})
}

// sendAudio sends the audio in chunks as it comes, and returns the error of the
// reading and of the sending. It does not fill chunks up: a listener waits.
func sendAudio(out grpc.ServerStreamingServer[pluginv1.SynthesizeResponse], in io.Reader) (read, sent error) {
	buffer := make([]byte, chunk)
	for idle := 0; idle < maxIdleReads; {
		n, err := in.Read(buffer)
		idle++
		if n > 0 {
			idle = 0
			if err := out.Send(&pluginv1.SynthesizeResponse{Part: &pluginv1.SynthesizeResponse_Chunk{Chunk: buffer[:n]}}); err != nil {
				return nil, err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return err, nil
		}
	}
	return io.ErrNoProgress, nil
}
