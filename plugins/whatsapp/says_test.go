package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/whatsapp/simulator"
	"github.com/stratohub/strato/sdk"
)

// TestSimulatorSays takes everything that a simulated person can say through
// webhook, signature and translation.
func TestSimulatorSays(t *testing.T) {
	t.Parallel()

	latitude, longitude := -34.6, -58.4
	for name, tt := range map[string]struct {
		say  simulator.Say
		want func(t *testing.T, m sdk.InboundMessage)
	}{
		"text": {simulator.Say{Text: "¿Sigue disponible?"}, func(t *testing.T, m sdk.InboundMessage) {
			t.Helper()
			require.Equal(t, sdk.Text{Body: "¿Sigue disponible?"}, m.Content)
			require.Equal(t, customer, m.From.Addresses[0].Value)
			require.Equal(t, simulator.DemoName, m.From.DisplayName)
		}},
		"picture":  {simulator.Say{Type: "image", Text: "el frente"}, isMedia(sdk.MediaImage)},
		"video":    {simulator.Say{Type: "video"}, isMedia(sdk.MediaVideo)},
		"audio":    {simulator.Say{Type: "audio"}, isMedia(sdk.MediaAudio)},
		"voice":    {simulator.Say{Type: "voice"}, isMedia(sdk.MediaVoice)},
		"sticker":  {simulator.Say{Type: "sticker"}, isMedia(sdk.MediaSticker)},
		"document": {simulator.Say{File: []byte("%PDF"), FileName: "a.pdf", MIMEType: "application/pdf"}, isMedia(sdk.MediaDocument)},
		"location": {simulator.Say{Latitude: &latitude, Longitude: &longitude, Place: "Parque"}, func(t *testing.T, m sdk.InboundMessage) {
			t.Helper()
			require.Equal(t, sdk.Location{Latitude: latitude, Longitude: longitude, Name: "Parque"}, m.Content)
		}},
		"contact": {simulator.Say{ContactName: "Ana Paz", ContactPhone: "+54 9 11 6000-4321"}, func(t *testing.T, m sdk.InboundMessage) {
			t.Helper()
			require.Equal(t, sdk.ContactCards{Cards: []sdk.ContactCard{{Name: "Ana Paz", Phones: []string{"+54 9 11 6000-4321"}}}}, m.Content)
		}},
		"forwarded": {simulator.Say{Text: "x", Forwarded: true}, func(t *testing.T, m sdk.InboundMessage) {
			t.Helper()
			require.True(t, m.Forwarded)
		}},
		"from an ad": {simulator.Say{Text: "x", Ad: true}, func(t *testing.T, m sdk.InboundMessage) {
			t.Helper()
			require.Equal(t, "120215544332210987", m.Referral.SourceID)
			require.NotEmpty(t, m.Referral.ClickID)
		}},
		"hidden phone": {simulator.Say{Text: "x", From: "+5491160007777", Name: "Caro", Username: "caro.inmo"}, func(t *testing.T, m sdk.InboundMessage) {
			t.Helper()
			require.Len(t, m.From.Addresses, 1)
			require.Equal(t, kindUser, m.From.Addresses[0].Kind)
			require.Equal(t, "caro.inmo", m.From.Username)
		}},
		"order":       {simulator.Say{Type: "order", Text: "quiero"}, isUnsupported("order")},
		"unsupported": {simulator.Say{Type: "unsupported"}, isUnsupported("poll")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := setup(t, simulator.Options{})
			said := b.write(t, tt.say)
			m, ok := b.hooks.last()
			require.True(t, ok)
			require.Equal(t, said.MessageID, m.ProviderMessageID)
			tt.want(t, m)
		})
	}
}

func isMedia(kind sdk.MediaKind) func(*testing.T, sdk.InboundMessage) {
	return func(t *testing.T, m sdk.InboundMessage) {
		t.Helper()

		got, ok := m.Content.(sdk.Media)
		require.True(t, ok)
		require.Equal(t, kind, got.Kind)
		require.NotEmpty(t, got.Ref.ProviderID)
		require.Len(t, got.Ref.SHA256, 64)
	}
}

func isUnsupported(kind string) func(*testing.T, sdk.InboundMessage) {
	return func(t *testing.T, m sdk.InboundMessage) {
		t.Helper()

		got, ok := m.Content.(sdk.Unsupported)
		require.True(t, ok)
		require.Equal(t, kind, got.ProviderType)
	}
}

// TestSimulatorAnswers lets a person answer what the business sent.
func TestSimulatorAnswers(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{})
	b.write(t, simulator.Say{Text: "hola"})
	offer := b.send(t, sdk.Interactive{Body: "¿Visitás?", Buttons: []sdk.Button{{ID: "si", Title: "Sí, dale"}}}).ProviderMessageID
	b.write(t, simulator.Say{Choice: "sí, dale"})
	m, _ := b.hooks.last()
	require.Equal(t, sdk.Selection{Kind: "button", ID: "si", Title: "Sí, dale"}, m.Content)
	require.Equal(t, offer, m.ReplyTo)

	offer = b.send(t, sdk.Interactive{Body: "¿Cuándo?", ListLabel: "Ver", Sections: []sdk.ListSection{{Rows: []sdk.ListRow{{ID: "10", Title: "10 h", Description: "con Ana"}}}}}).ProviderMessageID
	b.write(t, simulator.Say{Choice: "10"})
	m, _ = b.hooks.last()
	require.Equal(t, sdk.Selection{Kind: "list", ID: "10", Title: "10 h", Description: "con Ana"}, m.Content)
	require.Equal(t, offer, m.ReplyTo)

	b.write(t, simulator.Say{Text: "¡Gracias!", ReplyTo: "last"})
	m, _ = b.hooks.last()
	require.Equal(t, offer, m.ReplyTo)
	b.write(t, simulator.Say{Emoji: "👍"})
	m, _ = b.hooks.last()
	require.Equal(t, sdk.Reaction{TargetID: offer, Emoji: "👍"}, m.Content)
	b.write(t, simulator.Say{Type: "reaction"})
	m, _ = b.hooks.last()
	require.Equal(t, sdk.Reaction{TargetID: offer}, m.Content)
}

// TestSimulatorMoves changes a person's number, and finds the person there.
func TestSimulatorMoves(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{})
	b.write(t, simulator.Say{Text: "hola"})
	before, _ := b.hooks.last()
	b.write(t, simulator.Say{NewPhone: "+5491160009999"})
	b.hooks.mu.Lock()
	moved, ok := b.hooks.events[len(b.hooks.events)-1].Payload.(sdk.ContactUpdate)
	b.hooks.mu.Unlock()
	require.True(t, ok)
	require.Equal(t, before.From.Addresses, moved.Previous)
	require.Equal(t, "5491160009999", moved.Contact.Addresses[0].Value)
	b.write(t, simulator.Say{From: "+5491160009999", Text: "acá estoy"})
	after, _ := b.hooks.last()
	require.Equal(t, moved.Contact.Addresses, after.From.Addresses)
	require.Equal(t, simulator.DemoName, after.From.DisplayName)
}
