package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"encoding/json"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/webhook"
)

// ofTenant is a change whose every string has the tenant's name in it.
func ofTenant(name, number string) string {
	return fmt.Sprintf(`{"field":"messages","value":{"metadata":{"phone_number_id":"%[2]s","display_phone_number":"1%[2]s"},`+
		`"contacts":[{"profile":{"name":"cliente de %[1]s"},"wa_id":"99%[2]s"}],`+
		`"messages":[{"id":"wamid.%[1]s","from":"99%[2]s","timestamp":"1795442400","type":"text","text":{"body":"secreto de %[1]s <b>&ñ"}}],`+
		`"statuses":[{"id":"wamid.out.%[1]s","status":"read","timestamp":"1795442400","recipient_id":"99%[2]s"}]}}`, name, number)
}

func TestSplit(t *testing.T) {
	t.Parallel()

	alpha, beta, gamma := ofTenant("alpha", "111111"), ofTenant("beta", "222222"), ofTenant("gamma", "333333")
	template := `{"field":"message_template_status_update","value":{"event":"APPROVED","message_template_name":"de delta"}}`
	body := `{"object":"whatsapp_business_account","extra":"of alpha","entry":[` +
		`{"id":"700","time":1795442400,"extra":"of beta","changes":[` + alpha + `,null,` + beta + `,"junk",` + alpha + `]},` +
		`null,"junk",{"id":"800","changes":[` + gamma + `,` + template + `]},` +
		`{"id":"0","changes":[` + ofTenant("test button", "123456123") + `]},` +
		`{"id":"900","changes":[` + ofTenant("test number", "123456123") + `]},` +
		`{"id":"odd","changes":[{"field":"messages","value":{"messages":["of nobody"]}}]},` +
		`{"id":"700","changes":[` + alpha + `]}]}`

	parts, err := split([]byte(body))
	require.NoError(t, err)

	names := []string{"alpha", "beta", "gamma", "delta", "test", "nobody"}
	want := []struct {
		key  sdk.RouteKey
		name string
		n    int // events
	}{
		{sdk.RouteKey{Kind: keyNumber, Value: "111111"}, "alpha", 6},
		{sdk.RouteKey{Kind: keyNumber, Value: "222222"}, "beta", 2},
		{sdk.RouteKey{Kind: keyNumber, Value: "333333"}, "gamma", 2},
		{sdk.RouteKey{Kind: keyAccount, Value: "800"}, "delta", 1},
	}
	require.Len(t, parts, len(want))
	for i, w := range want {
		require.Equal(t, []sdk.RouteKey{w.key}, parts[i].Keys)
		require.True(t, json.Valid(parts[i].Body), string(parts[i].Body))
		for _, name := range names {
			require.Equal(t, name == w.name, strings.Contains(string(parts[i].Body), name), "%s in the part of %s", name, w.name)
		}
		events, err := translate(parts[i].Body, arrival, parts[i].Keys)
		require.NoError(t, err)
		require.Len(t, events, w.n)
		for _, e := range events {
			require.Equal(t, parts[i].Keys, e.RouteKeys)
		}
	}
	require.Contains(t, string(parts[1].Body), beta, "a change goes along byte for byte")
}

// TestSplitKeepsMeaning shows that a body means the same after routing.
func TestSplitKeepsMeaning(t *testing.T) {
	t.Parallel()

	files, err := filepath.Glob("testdata/receive/*.json")
	require.NoError(t, err)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()

			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			var g golden
			require.NoError(t, json.Unmarshal(raw, &g))
			whole, err := translate(g.Body, arrival, own)
			require.NoError(t, err)
			parts, err := split(g.Body)
			require.NoError(t, err)
			var cut []sdk.Event
			for _, p := range parts {
				events, err := translate(p.Body, arrival, p.Keys)
				require.NoError(t, err)
				cut = append(cut, events...)
			}
			for _, e := range cut {
				require.Contains(t, whole, e)
			}
			if !strings.HasPrefix(filepath.Base(file), "hostile") && !strings.HasPrefix(filepath.Base(file), "other") {
				require.Len(t, cut, len(whole))
			}
		})
	}
}

func TestRoute(t *testing.T) {
	t.Parallel()

	env := environment(t, "", "app_secret", "operator's")
	sign := func(body string) sdk.Request { return posted(body, webhook.SignHub("operator's", []byte(body))) }
	one := `{"object":"whatsapp_business_account","entry":[{"id":"700","changes":[` + ofTenant("alpha", "111111") + `]}]}`

	got, err := route(t.Context(), env, "", sign(one))
	require.NoError(t, err)
	require.True(t, got.Verified)
	require.Nil(t, got.Final)
	require.Len(t, got.Parts, 1)

	got, err = route(t.Context(), env, "", posted(one, webhook.SignHub("a tenant's", []byte(one))))
	require.NoError(t, err)
	require.False(t, got.Verified)
	require.Empty(t, got.Parts)

	got, err = route(t.Context(), environment(t, ""), "", posted(one, webhook.SignHub("", []byte(one))))
	require.NoError(t, err)
	require.False(t, got.Verified, "an operator without a secret takes nothing")

	for _, body := range []string{
		`{"object":"whatsapp_business_account","entry":[{"id":"0","changes":[` + ofTenant("x", "123456123") + `]}]}`,
		`{"object":"page","entry":[{"id":"1"}]}`,
		vectorBody,
	} {
		got, err = route(t.Context(), env, "", sign(body))
		require.NoError(t, err)
		require.True(t, got.Verified)
		require.Empty(t, got.Parts)
		require.Equal(t, 200, got.Final.Status)
	}
}

func TestOverflow(t *testing.T) {
	t.Parallel()

	for _, n := range []int{maxEvents - 1, maxEvents, maxEvents + 1, 3 * maxEvents} {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(`{"id":"wamid.%d","status":"sent","timestamp":"1795442400"}`, i)
		}
		body := `{"object":"whatsapp_business_account","entry":[{"id":"700","changes":[{"field":"messages","value":{` +
			`"metadata":{"phone_number_id":"111111"},"statuses":[` + strings.Join(list, ",") + `]}}]}]}`
		events, err := translate([]byte(body), arrival, own)
		require.NoError(t, err)
		require.LessOrEqual(t, len(events), maxEvents)
		kept := len(events)
		if rest, ok := events[len(events)-1].Payload.(sdk.Unrecognized); ok {
			var left []json.RawMessage
			require.NoError(t, json.Unmarshal(rest.Raw, &left))
			kept += len(left) - 1
		}
		require.Equal(t, n, kept, "nothing is lost")
		if n <= maxEvents {
			require.IsType(t, sdk.DeliveryUpdate{}, events[n-1].Payload, "as many as Meta batches are all read")
		}
	}
}

func FuzzTranslate(f *testing.F) {
	files, err := filepath.Glob("testdata/receive/*.json")
	require.NoError(f, err)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(f, err)
		var g golden
		require.NoError(f, json.Unmarshal(raw, &g))
		f.Add([]byte(g.Body))
	}
	f.Fuzz(func(t *testing.T, element []byte) {
		if events, err := translate(element, arrival, own); err == nil {
			require.LessOrEqual(t, len(events), maxEvents)
		}
		_, _ = split(element)
		if !json.Valid(element) || len(element) > 1<<16 {
			return
		}
		// Whatever the element is, its neighbours come through.
		for _, list := range []string{"messages", "contacts", "errors"} {
			good := `{"id":"wamid.GOOD","from":"5491160001234","timestamp":"1795442400","type":"text","text":{"body":"sigo acá"}}`
			value := `"messages":[` + good + `],"` + list + `":[` + string(element) + `]`
			if list == "messages" {
				value = `"messages":[` + string(element) + `,` + good + `]`
			}
			body := `{"object":"whatsapp_business_account","entry":[` + string(element) + `,{"id":"1","changes":[` + string(element) +
				`,{"field":"messages","value":{"metadata":{"phone_number_id":"106540352242922"},` + value + `}}]}]}`
			events, err := translate([]byte(body), arrival, own)
			require.NoError(t, err)
			found := len(events) == maxEvents
			for _, e := range events {
				require.NotEmpty(t, e.DedupeKey)
				require.NotEmpty(t, e.RouteKeys)
				if m, ok := e.Payload.(sdk.InboundMessage); ok && m.ProviderMessageID == "wamid.GOOD" {
					found = true
				}
			}
			require.True(t, found, body)
		}
	})
}
