package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

const (
	// voiceNote is what messengers play as a voice note: mono Opus in Ogg.
	voiceNote       = "voice_note"
	voiceNoteFormat = "opus_48000_32"
	// defaultModel is the provider's own.
	defaultModel = "eleven_multilingual_v2"
)

var formatForm = regexp.MustCompile(`^(mp3|opus|pcm|wav|ulaw|alaw)_[0-9]{4,5}(_[0-9]{2,3})?$`)

// Synthesize implements [sdk.Speaker]. The audio comes as the provider makes it.
func (s *studio) Synthesize(ctx context.Context, order sdk.Speech) (sdk.Audio, error) {
	u, err := s.utterance(order)
	if err != nil {
		return sdk.Audio{}, err
	}
	key := u.cacheKey()
	if order.KnownKey == key {
		return sdk.Audio{Head: sdk.AudioHead{CacheKey: key}, Body: io.NopCloser(bytes.NewReader(nil))}, nil
	}
	resp, err := s.api.open(ctx, call{
		path:  []string{"v1", "text-to-speech", u.Voice, "stream"},
		query: url.Values{"output_format": {u.Format}}, body: u.body(),
	})
	if err != nil {
		return sdk.Audio{}, err
	}
	audio := &stream{body: resp.Body, buffer: bufio.NewReaderSize(resp.Body, 16<<10)}
	// The type the provider names proves little; the first bytes do. Whoever
	// wants a voice note must see when it is none.
	first, err := audio.buffer.Peek(4)
	if err != nil {
		_ = resp.Body.Close()
		return sdk.Audio{}, brokenOff(err)
	}
	head := sdk.AudioHead{
		MIMEType: sniff(first, resp.Header.Get("Content-Type")), SampleRate: sampleRate(u.Format),
		ProviderRequestID: resp.Header.Get("request-id"), CacheKey: key,
	}
	// What it costs can be less than the text is long.
	billed, _ := strconv.ParseUint(resp.Header.Get("character-cost"), 10, 64)
	return sdk.Audio{Head: head, Body: audio, Tail: func() sdk.AudioTail {
		return sdk.AudioTail{BilledUnits: billed, Unit: "character", Duration: audio.pages.duration()}
	}}, nil
}

// utterance is everything that shapes the audio, and nothing else: the same
// utterance sounds the same.
type utterance struct {
	Text     string  `json:"text"`
	Voice    string  `json:"voice"`
	Model    string  `json:"model"`
	Format   string  `json:"format"`
	Language string  `json:"language,omitempty"`
	Settings object  `json:"settings,omitempty"`
	Seed     *uint32 `json:"seed,omitempty"`
	Previous string  `json:"previous,omitempty"`
	Next     string  `json:"next,omitempty"`
	Numbers  string  `json:"numbers,omitempty"`
}

// cacheKey names the audio. Encoding sorts keys, so that it is stable.
func (u utterance) cacheKey() string {
	raw, _ := json.Marshal(u) // strings and finite numbers always marshal
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

func (u utterance) body() object {
	out := object{"text": u.Text, "model_id": u.Model}
	for name, v := range map[string]string{
		"language_code": u.Language, "previous_text": u.Previous, "next_text": u.Next, "apply_text_normalization": u.Numbers,
	} {
		if v != "" {
			out[name] = v
		}
	}
	if len(u.Settings) > 0 {
		out["voice_settings"] = u.Settings
	}
	if u.Seed != nil {
		out["seed"] = *u.Seed
	}
	return out
}

// utterance puts an order and the installation's settings together.
func (s *studio) utterance(order sdk.Speech) (utterance, error) {
	invalid := func(blame failure.Blame, words string) (utterance, error) {
		return utterance{}, refusal(failure.InvalidRequest, blame, words)
	}
	u := utterance{
		Text: order.Text, Voice: or(order.VoiceID, s.account.VoiceID), Model: or(order.ModelID, or(s.account.ModelID, defaultModel)),
		Format: order.Format, Settings: object{},
	}
	if u.Format == "" || u.Format == voiceNote {
		u.Format = voiceNoteFormat
	}
	switch {
	case strings.TrimSpace(u.Text) == "":
		return invalid(failure.Plugin, "there is nothing to say")
	case u.Voice == "":
		return invalid(failure.Tenant, "no voice is chosen")
	case !formatForm.MatchString(u.Format):
		return invalid(failure.Plugin, "ElevenLabs has no such audio format")
	}
	// The multilingual model takes no language; it hears it from the text.
	if u.Model != defaultModel {
		u.Language, _, _ = strings.Cut(strings.ToLower(order.Language), "-")
	}
	for name, v := range map[string]*float64{
		"stability": s.account.Stability, "similarity_boost": s.account.SimilarityBoost, "speed": s.account.Speed,
	} {
		if v != nil {
			u.Settings[name] = *v
		}
	}
	if err := u.options(order.Options); err != nil {
		return utterance{}, err
	}
	return u, nil
}

// options are what only this provider understands.
func (u *utterance) options(options map[string]string) error {
	for name, v := range options {
		var err error
		switch name {
		case "stability", "similarity_boost", "style", "speed":
			u.Settings[name], err = strconv.ParseFloat(v, 64)
		case "use_speaker_boost":
			u.Settings[name], err = strconv.ParseBool(v)
		case "seed":
			var n uint64
			n, err = strconv.ParseUint(v, 10, 32)
			seed := uint32(n)
			u.Seed = &seed
		case "previous_text":
			u.Previous = v
		case "next_text":
			u.Next = v
		case "apply_text_normalization":
			u.Numbers = v
		default:
			err = errors.New("unknown")
		}
		if err != nil {
			return refusal(failure.InvalidRequest, failure.Plugin, "the option "+clip(name, 50)+" is not one of ElevenLabs, or its value is not right")
		}
	}
	if u.Model == "eleven_v3" {
		// This model refuses orders with neighbours.
		u.Previous, u.Next = "", ""
	}
	return nil
}

// stream is audio on its way. Reading fails with a failure when it breaks off.
type stream struct {
	body   io.Closer
	buffer *bufio.Reader
	pages  pages
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.buffer.Read(p)
	s.pages.see(p[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		err = brokenOff(err)
	}
	return n, err
}

// Close implements io.Closer; it also stops the provider's work.
func (s *stream) Close() error { return s.body.Close() }

func brokenOff(cause error) error {
	f := failure.New(failure.Temporary, "the audio broke off")
	f.Outcome, f.Blame = failure.Unknown, failure.Provider
	return errors.Join(f, cause)
}

// sniff tells the type of audio by its first bytes, else by what the provider says.
func sniff(first []byte, otherwise string) string {
	switch {
	case bytes.HasPrefix(first, []byte("OggS")):
		return "audio/ogg; codecs=opus"
	case bytes.HasPrefix(first, []byte("ID3")), len(first) > 1 && first[0] == 0xff && first[1]&0xe0 == 0xe0:
		return "audio/mpeg"
	case bytes.HasPrefix(first, []byte("RIFF")):
		return "audio/wav"
	case strings.HasPrefix(otherwise, "audio/ogg"), otherwise == "":
		return http.DetectContentType(first) // it is not what it says
	}
	return otherwise
}

func sampleRate(format string) uint32 {
	parts := strings.Split(format, "_")
	n, _ := strconv.ParseUint(parts[1], 10, 32) // formatForm saw to it
	return uint32(n)
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
