package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/elevenlabs/simulator"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

const sentence = "Hola Lucía, te esperamos el miércoles a las diez y media en Acoyte 410."

// hear reads audio to its end.
func hear(t *testing.T, a sdk.Audio) ([]byte, sdk.AudioTail) {
	t.Helper()

	sound, err := io.ReadAll(a.Body)
	require.NoError(t, err)
	require.NoError(t, a.Body.Close())
	return sound, a.Tail()
}

func TestSynthesize(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		faults simulator.Faults
		order  sdk.Speech
		verify func(t *testing.T, head sdk.AudioHead, sound []byte, tail sdk.AudioTail)
	}{
		"a voice note": {simulator.Faults{}, sdk.Speech{Text: sentence, Format: voiceNote}, func(t *testing.T, head sdk.AudioHead, sound []byte, tail sdk.AudioTail) {
			t.Helper()
			require.Equal(t, "audio/ogg; codecs=opus", head.MIMEType)
			require.Equal(t, uint32(48000), head.SampleRate)
			require.NotEmpty(t, head.ProviderRequestID)
			require.Len(t, head.CacheKey, 64)
			require.Equal(t, "OggS", string(sound[:4]))
			require.Equal(t, sdk.AudioTail{BilledUnits: 71, Unit: "character", Duration: 5 * time.Second}, tail)
		}},
		"Opus without its container": {simulator.Faults{NotOgg: true}, sdk.Speech{Text: sentence, Format: voiceNote}, func(t *testing.T, head sdk.AudioHead, _ []byte, tail sdk.AudioTail) {
			t.Helper()
			require.NotContains(t, head.MIMEType, "ogg", "it says so, and is not")
			require.Zero(t, tail.Duration)
		}},
		"half price": {simulator.Faults{HalfPrice: true}, sdk.Speech{Text: sentence}, func(t *testing.T, _ sdk.AudioHead, _ []byte, tail sdk.AudioTail) {
			t.Helper()
			require.Equal(t, uint64(35), tail.BilledUnits)
		}},
		"in pieces": {simulator.Faults{ChunkPauseMS: 1}, sdk.Speech{Text: strings.Repeat(sentence, 20)}, func(t *testing.T, _ sdk.AudioHead, _ []byte, tail sdk.AudioTail) {
			t.Helper()
			require.Equal(t, 95*time.Second, tail.Duration)
		}},
		"MP3 by its name": {simulator.Faults{}, sdk.Speech{Text: sentence, Format: "mp3_44100_128"}, func(t *testing.T, head sdk.AudioHead, _ []byte, _ sdk.AudioTail) {
			t.Helper()
			require.Equal(t, "audio/mpeg", head.MIMEType)
			require.Equal(t, uint32(44100), head.SampleRate)
		}},
		"with a language that the model does not take": {simulator.Faults{}, sdk.Speech{Text: sentence, Language: "es-AR"}, nil},
		"with one that it does":                        {simulator.Faults{}, sdk.Speech{Text: sentence, Language: "es-AR", ModelID: "eleven_flash_v2_5"}, nil},
		"with neighbours that the model does not take": {simulator.Faults{}, sdk.Speech{Text: sentence, ModelID: "eleven_v3", Options: map[string]string{"previous_text": "Gracias.", "next_text": "Chau."}}, nil},
		"with neighbours that it does":                 {simulator.Faults{V3Neighbours: true}, sdk.Speech{Text: sentence, ModelID: "eleven_v3", Options: map[string]string{"previous_text": "Gracias."}}, nil},
		"with every option": {simulator.Faults{}, sdk.Speech{Text: sentence, Options: map[string]string{
			"stability": "0.5", "similarity_boost": "0.75", "style": "0", "use_speaker_boost": "true", "speed": "1", "seed": "421337",
			"previous_text": "Gracias.", "next_text": "Chau.", "apply_text_normalization": "auto",
		}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := setup(t, tt.faults)
			a, err := b.Synthesize(t.Context(), tt.order)
			require.NoError(t, err)
			sound, tail := hear(t, a)
			require.NotEmpty(t, sound)
			if tt.verify != nil {
				tt.verify(t, a.Head, sound, tail)
			}
		})
	}
}

func TestSpeechRefused(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		faults simulator.Faults
		order  sdk.Speech
		want   failure.Failure
	}{
		"no quota":          {simulator.Faults{Quota: 10}, sdk.Speech{Text: sentence}, failure.Failure{Code: failure.QuotaExhausted, ProviderCode: "quota_exceeded", HTTPStatus: 401}},
		"no quota, newer":   {simulator.Faults{Quota: 10, NewErrors: true}, sdk.Speech{Text: sentence}, failure.Failure{Code: failure.QuotaExhausted, ProviderCode: "quota_exceeded", HTTPStatus: 401}},
		"a plain 401":       {simulator.Faults{Quota: 10, PlainErrors: true}, sdk.Speech{Text: sentence}, failure.Failure{Code: failure.Auth, HTTPStatus: 401}},
		"too many at once":  {simulator.Faults{ErrorStatus: "too_many_concurrent_requests"}, sdk.Speech{Text: sentence}, failure.Failure{Code: failure.RateLimited, ProviderCode: "too_many_concurrent_requests", HTTPStatus: 429, RetryAfter: concurrencyPause}},
		"busy":              {simulator.Faults{ErrorStatus: "system_busy"}, sdk.Speech{Text: sentence}, failure.Failure{Code: failure.RateLimited, ProviderCode: "system_busy", HTTPStatus: 429, RetryAfter: busyPause}},
		"unusual activity":  {simulator.Faults{ErrorStatus: "detected_unusual_activity"}, sdk.Speech{Text: sentence}, failure.Failure{Code: failure.Permission, ProviderCode: "detected_unusual_activity", HTTPStatus: 401}},
		"a bad key":         {simulator.Faults{ErrorStatus: "invalid_api_key"}, sdk.Speech{Text: sentence}, failure.Failure{Code: failure.Auth, ProviderCode: "invalid_api_key", HTTPStatus: 401}},
		"a larger plan":     {simulator.Faults{ErrorStatus: "only_for_creator+"}, sdk.Speech{Text: sentence}, failure.Failure{Code: failure.Permission, ProviderCode: "only_for_creator+", HTTPStatus: 403}},
		"trouble":           {simulator.Faults{HTTPStatus: 503}, sdk.Speech{Text: sentence}, failure.Failure{Code: failure.Temporary, HTTPStatus: 503}},
		"no such voice":     {simulator.Faults{}, sdk.Speech{Text: sentence, VoiceID: "nobody"}, failure.Failure{Code: failure.InvalidRequest, ProviderCode: "voice_not_found", HTTPStatus: 404}},
		"no such model":     {simulator.Faults{}, sdk.Speech{Text: sentence, ModelID: "eleven_none"}, failure.Failure{Code: failure.InvalidRequest, ProviderCode: "invalid_model_id", HTTPStatus: 400}},
		"too long for v3":   {simulator.Faults{V3Limit: 10}, sdk.Speech{Text: sentence, ModelID: "eleven_v3"}, failure.Failure{Code: failure.InvalidRequest, ProviderCode: "max_character_limit_exceeded", HTTPStatus: 400}},
		"nothing to say":    {simulator.Faults{}, sdk.Speech{Text: " "}, failure.Failure{Code: failure.InvalidRequest}},
		"an unknown format": {simulator.Faults{}, sdk.Speech{Text: sentence, Format: "flac"}, failure.Failure{Code: failure.InvalidRequest}},
		"an unknown option": {simulator.Faults{}, sdk.Speech{Text: sentence, Options: map[string]string{"mood": "1"}}, failure.Failure{Code: failure.InvalidRequest}},
		"an option's value": {simulator.Faults{}, sdk.Speech{Text: sentence, Options: map[string]string{"speed": "fast"}}, failure.Failure{Code: failure.InvalidRequest}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := setup(t, tt.faults)
			_, err := b.Synthesize(t.Context(), tt.order)
			f, ok := errors.AsType[*failure.Failure](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, tt.want.Code, f.Code)
			require.Equal(t, tt.want.ProviderCode, f.ProviderCode)
			require.Equal(t, tt.want.HTTPStatus, f.HTTPStatus)
			require.Equal(t, tt.want.RetryAfter, f.RetryAfter)
			require.NotContains(t, err.Error(), b.settings["api_key"])
		})
	}

	t.Run("the plan's requests at once", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Faults{Concurrency: 1, ChunkPauseMS: 60_000})
		first, err := b.Synthesize(t.Context(), sdk.Speech{Text: sentence})
		require.NoError(t, err)
		_, err = b.Synthesize(t.Context(), sdk.Speech{Text: sentence})
		require.ErrorIs(t, err, &failure.Failure{Code: failure.RateLimited})
		// Whoever stops listening frees the place.
		require.NoError(t, first.Body.Close())
		b.simulator.SetFaults(simulator.Faults{Concurrency: 1})
		require.Eventually(t, func() bool {
			a, err := b.Synthesize(t.Context(), sdk.Speech{Text: sentence})
			if err == nil {
				_ = a.Body.Close()
			}
			return err == nil
		}, 10*time.Second, time.Millisecond)
	})

	t.Run("it breaks off", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Faults{BreakStream: true})
		a, err := b.Synthesize(t.Context(), sdk.Speech{Text: strings.Repeat(sentence, 20)})
		require.NoError(t, err)
		_, err = io.ReadAll(a.Body)
		require.ErrorIs(t, err, &failure.Failure{Code: failure.Temporary})
		require.NoError(t, a.Body.Close())
	})
}

// The same words in the same voice are the same audio; anything else that
// shapes it makes another.
func TestCacheKey(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Faults{})
	key := func(o sdk.Speech) string {
		u, err := b.utterance(o)
		require.NoError(t, err)
		return u.cacheKey()
	}
	plain := sdk.Speech{IdempotencyKey: "1", Text: sentence}
	require.Equal(t, key(plain), key(sdk.Speech{IdempotencyKey: "2", Text: sentence, Format: voiceNote, VoiceID: b.settings["voice_id"], ModelID: defaultModel}))
	seen := map[string]bool{key(plain): true}
	for _, o := range []sdk.Speech{
		{Text: sentence + "."}, {Text: sentence, VoiceID: "other"}, {Text: sentence, ModelID: "eleven_v3"}, {Text: sentence, Format: "mp3_44100_128"},
		{Text: sentence, Options: map[string]string{"speed": "1.1"}}, {Text: sentence, Options: map[string]string{"seed": "1"}},
		{Text: sentence, Options: map[string]string{"previous_text": "x"}}, {Text: sentence, Options: map[string]string{"next_text": "x"}},
		{Text: sentence, ModelID: "eleven_flash_v2_5", Language: "es"}, {Text: sentence, ModelID: "eleven_flash_v2_5"},
	} {
		require.False(t, seen[key(o)], "%+v", o)
		seen[key(o)] = true
	}

	// Whoever has the audio pays nothing for it, whatever the provider would say.
	b.simulator.SetFaults(simulator.Faults{HTTPStatus: 500})
	plain.KnownKey = key(plain)
	a, err := b.Synthesize(t.Context(), plain)
	require.NoError(t, err)
	require.Equal(t, plain.KnownKey, a.Head.CacheKey)
	sound, err := io.ReadAll(a.Body)
	require.NoError(t, err)
	require.Empty(t, sound)
	plain.KnownKey = "another"
	_, err = b.Synthesize(t.Context(), plain)
	require.Error(t, err)
}
