package plugintest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/internal/wire"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// fileMax is how large a file may be that a check fetches.
const fileMax = 64 << 20

// speak has the plugin speak for a new account, and gives what came.
func (w *world) speak(ctx context.Context, a *account, s sdk.Speech) (head sdk.AudioHead, sound []byte, err error) {
	err = w.call(ctx, func(c *host.Clients) error {
		audio, err := c.Speaker(a.installation).Synthesize(ctx, s)
		if err != nil {
			return err
		}
		head = audio.Head
		sound, err = io.ReadAll(audio.Body)
		return errors.Join(err, audio.Body.Close())
	})
	return head, sound, err
}

// streamSpeech: speech has a type and a sound, and what is known is not made again.
func streamSpeech(ctx context.Context, w *world) error {
	a, err := w.account(ctx, "acme")
	if err != nil {
		return err
	}
	head, sound, err := w.speak(ctx, a, w.Speech)
	if err != nil {
		return fmt.Errorf("speak: %w", err)
	}
	var errs []error
	if head.MIMEType == "" {
		errs = append(errs, errors.New("the audio does not say of which type it is"))
	}
	if len(sound) == 0 {
		errs = append(errs, errors.New("the audio is empty"))
	}
	if head.CacheKey == "" {
		return errors.Join(errs...)
	}
	known, other := w.Speech, w.Speech
	known.KnownKey, other.Text = head.CacheKey, w.Speech.Text+" Otra vez."
	w.provider.mark()
	again, nothing, err := w.speak(ctx, a, known)
	switch {
	case err != nil:
		errs = append(errs, fmt.Errorf("speak what is known: %w", err))
	case again.CacheKey != head.CacheKey || len(nothing) > 0 || writing(w.provider.since()) > 0:
		errs = append(errs, errors.New("what is known by its key is made again"))
	}
	another, _, err := w.speak(ctx, a, other)
	if err == nil && another.CacheKey == head.CacheKey {
		err = errors.New("another text has the same key: the wrong words would be played")
	}
	return errors.Join(append(errs, err)...)
}

// speechRefusals are what a provider's bare status means for speech.
var speechRefusals = map[int][]pluginv1.FailureCode{
	http.StatusUnauthorized:        {pluginv1.FailureCode_FAILURE_CODE_AUTH},
	http.StatusTooManyRequests:     {pluginv1.FailureCode_FAILURE_CODE_RATE_LIMITED},
	http.StatusInternalServerError: {pluginv1.FailureCode_FAILURE_CODE_TEMPORARY},
}

// streamRefused: what the provider refuses before it speaks is a failure.
func streamRefused(ctx context.Context, w *world) error {
	a, err := w.account(ctx, "acme")
	if err != nil {
		return err
	}
	var errs []error
	for code, want := range speechRefusals {
		w.provider.set(status(code))
		_, _, err := w.speak(ctx, a, w.Speech)
		w.provider.set(nil)
		f, ok := errors.AsType[*failure.Failure](err)
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("when the provider answers %d speech ends with %w", code, err))
		case !slices.Contains(want, wire.FromFailure(f).GetCode()):
			errs = append(errs, fmt.Errorf("when the provider answers %d the failure is %s, want %v", code, f.Code, want))
		}
	}
	return errors.Join(errs...)
}

// half answers with the first half of what the simulator would, and then does
// what is asked of it.
func (p *provider) half(then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		whole := httptest.NewRecorder()
		p.proxy.ServeHTTP(whole, r)
		for name, values := range whole.Header() {
			if name != "Content-Length" {
				w.Header()[name] = values
			}
		}
		w.WriteHeader(whole.Code)
		_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2]) // the plugin may have hung up
		_ = http.NewResponseController(w).Flush()
		then(w, r)
	}
}

// streamBroken: a provider that breaks off in the middle is no end of the audio.
func streamBroken(ctx context.Context, w *world) error {
	a, err := w.account(ctx, "acme")
	if err != nil {
		return err
	}
	w.provider.set(w.provider.half(reset))
	_, _, err = w.speak(ctx, a, w.Speech)
	w.provider.set(nil)
	if err == nil {
		return errors.New("the provider broke off in the middle, and the audio ends as if it were whole")
	}
	if _, ok := errors.AsType[*failure.Failure](err); !ok {
		return fmt.Errorf("the provider broke off in the middle, and the audio ends with no failure: %w", err)
	}
	return nil
}

// streamCancelled: when nobody listens any more, the provider need not go on.
func streamCancelled(ctx context.Context, w *world) error {
	a, err := w.account(ctx, "acme")
	if err != nil {
		return err
	}
	left := make(chan struct{}, 1)
	w.provider.set(w.provider.half(w.provider.hang(left)))
	err = w.call(ctx, func(c *host.Clients) error {
		audio, err := c.Speaker(a.installation).Synthesize(ctx, w.Speech)
		if err != nil {
			return err
		}
		return audio.Body.Close()
	})
	if err != nil {
		return fmt.Errorf("speak: %w", err)
	}
	select {
	case <-left:
	case <-time.After(5 * time.Second):
		return errors.New("nobody listens any more, and the plugin still listens to the provider: pass the context on")
	}
	w.provider.set(nil)
	_, _, err = w.speak(ctx, a, w.Speech)
	if err != nil {
		return fmt.Errorf("after speech was given up the next fails: %w", err)
	}
	return nil
}

// streamFile: a file that a person sent is fetched whole, and not if it is larger
// than wanted.
func streamFile(ctx context.Context, w *world) error {
	if w.SayFile == nil {
		return skip("Config.SayFile is not set")
	}
	a, err := w.account(ctx, "acme")
	if err != nil {
		return err
	}
	say := w.Say
	w.Say = func(account, _ string) any { return w.SayFile(account) }
	m, err := w.meet(ctx, a)
	w.Say = say
	if err != nil {
		return err
	}
	media, ok := m.Content.(sdk.Media)
	if !ok {
		return fmt.Errorf("a person sent a file, and the message is a %T", m.Content)
	}
	file, err := w.fetch(ctx, a, media.Ref, fileMax)
	if err != nil {
		return fmt.Errorf("fetch the file: %w", err)
	}
	if len(file) == 0 {
		return errors.New("the file is empty")
	}
	_, err = w.fetch(ctx, a, media.Ref, int64(len(file))-1)
	if f, ok := errors.AsType[*failure.Failure](err); !ok || f.Code != failure.Media {
		return fmt.Errorf("a file that is larger than wanted ends with %w, want the failure %s", err, failure.Media)
	}
	w.provider.set(status(http.StatusUnauthorized))
	defer w.provider.set(nil)
	_, err = w.fetch(ctx, a, media.Ref, fileMax)
	if _, ok := errors.AsType[*failure.Failure](err); !ok {
		return fmt.Errorf("when the provider answers 401 fetching ends with %w, want a failure", err)
	}
	return nil
}

// fetch reads a file by the plugin.
func (w *world) fetch(ctx context.Context, a *account, ref sdk.MediaRef, most int64) ([]byte, error) {
	var file bytes.Buffer
	err := w.call(ctx, func(c *host.Clients) error {
		in, err := c.Channel.FetchMedia(ctx, &pluginv1.FetchMediaRequest{
			Installation: a.installation, Ref: wire.FromMediaRef(ref), MaxBytes: uint64(most), //nolint:gosec // never negative
		})
		for err == nil {
			var part *pluginv1.FetchMediaResponse
			if part, err = in.Recv(); err != nil {
				break
			}
			if f := part.GetFailure(); f != nil {
				return wire.ToFailure(f)
			}
			file.Write(part.GetChunk())
		}
		if errors.Is(err, io.EOF) || grpcstatus.Code(err) == codes.OK {
			return nil
		}
		return err
	})
	return file.Bytes(), err
}
