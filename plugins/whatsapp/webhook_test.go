package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/webhook"
)

// The signature vector of Meta's form, computed elsewhere.
const (
	vectorSecret = "demo-app-secret"
	vectorBody   = `{"object":"whatsapp_business_account","entry":[]}`
	vectorHeader = "sha256=d6003bedf605fdf46943662e7d2065e132f4b26764d6ec946ba3fae527acafc2"
)

func posted(body, signature string) sdk.Request {
	r := sdk.Request{Method: http.MethodPost, Body: []byte(body), ReceivedAt: arrival}
	if signature != "" {
		r.Headers = []sdk.Header{{Name: "X-HUB-Signature-256", Value: signature}}
	}
	return r
}

func filled() map[string]string {
	return map[string]string{
		"phone_number_id": "106540352242922", "business_account_id": "215589313241560883",
		"access_token": "EAAtoken", "app_secret": vectorSecret, "verify_token": "demo-verify-token",
	}
}

func TestSignature(t *testing.T) {
	t.Parallel()

	c := newInstance(t, "http://127.0.0.1:1", filled())
	for name, tt := range map[string]struct {
		body, signature string
		want            bool
	}{
		"valid":            {vectorBody, vectorHeader, true},
		"upper-case hex":   {vectorBody, "sha256=" + strings.ToUpper(vectorHeader[7:]), true},
		"missing":          {vectorBody, "", false},
		"truncated":        {vectorBody, vectorHeader[:40], false},
		"wrong":            {vectorBody, webhook.SignHub("another", []byte(vectorBody)), false},
		"no prefix":        {vectorBody, vectorHeader[7:], false},
		"sha1":             {vectorBody, "sha1=" + vectorHeader[7:], false},
		"mutated byte":     {strings.Replace(vectorBody, "[]", "{}", 1), vectorHeader, false},
		"re-encoded bytes": {strings.Replace(vectorBody, ":", ": ", 1), vectorHeader, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			got, err := c.HandleWebhook(t.Context(), sdk.Webhook{Request: posted(tt.body, tt.signature)})
			require.NoError(t, err)
			require.Equal(t, tt.want, got.Verified)
		})
	}

	t.Run("a routed part is not verified again", func(t *testing.T) {
		t.Parallel()

		got, err := c.HandleWebhook(t.Context(), sdk.Webhook{Request: posted(vectorBody, ""), Routed: true})
		require.NoError(t, err)
		require.True(t, got.Verified)
	})

	t.Run("without any secret nothing is verified", func(t *testing.T) {
		t.Parallel()

		bare := filled()
		delete(bare, "app_secret")
		got, err := newInstance(t, "http://127.0.0.1:1", bare).HandleWebhook(t.Context(),
			sdk.Webhook{Request: posted(vectorBody, webhook.SignHub("", []byte(vectorBody)))})
		require.NoError(t, err)
		require.False(t, got.Verified)
	})

	t.Run("without an own app the operator's secret counts", func(t *testing.T) {
		t.Parallel()

		bare := filled()
		delete(bare, "app_secret")
		got, err := newInstance(t, "http://127.0.0.1:1", bare, "app_secret", vectorSecret).HandleWebhook(t.Context(),
			sdk.Webhook{Request: posted(vectorBody, vectorHeader)})
		require.NoError(t, err)
		require.True(t, got.Verified)
	})
}

func TestHandshake(t *testing.T) {
	t.Parallel()

	c := newInstance(t, "http://127.0.0.1:1", filled())
	for name, tt := range map[string]struct {
		query string
		want  int
	}{
		"right":       {"hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=demo-verify-token", 200},
		"wrong token": {"hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=demo", 403},
		"no token":    {"hub.mode=subscribe&hub.challenge=1158201444", 403},
		"other mode":  {"hub.mode=unsubscribe&hub.challenge=1158201444&hub.verify_token=demo-verify-token", 403},
		"unreadable":  {"%zz&;;", 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			r := sdk.Request{Method: http.MethodGet, RawQuery: tt.query}
			got, err := c.HandleWebhook(t.Context(), sdk.Webhook{Request: r})
			require.NoError(t, err)
			require.Equal(t, tt.want == 200, got.Verified)
			require.Equal(t, tt.want, got.Response.Status)

			routing, err := route(t.Context(), environment(t, "", "verify_token", "demo-verify-token"), "", r)
			require.NoError(t, err)
			require.Equal(t, got.Response, *routing.Final)
			if tt.want == 200 {
				require.Equal(t, "1158201444", string(got.Response.Body))
				require.Contains(t, got.Response.Headers, sdk.Header{Name: "Content-Type", Value: "text/plain; charset=utf-8"})
			}
		})
	}

	t.Run("an empty token opens nothing", func(t *testing.T) {
		t.Parallel()

		r := sdk.Request{Method: http.MethodGet, RawQuery: "hub.mode=subscribe&hub.challenge=1&hub.verify_token="}
		routing, err := route(t.Context(), environment(t, ""), "", r)
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, routing.Final.Status)
	})

	t.Run("other methods", func(t *testing.T) {
		t.Parallel()

		r := sdk.Request{Method: http.MethodDelete}
		got, err := c.HandleWebhook(t.Context(), sdk.Webhook{Request: r})
		require.NoError(t, err)
		require.False(t, got.Verified)
		require.Equal(t, http.StatusMethodNotAllowed, got.Response.Status)
		routing, err := route(t.Context(), environment(t, ""), "", r)
		require.NoError(t, err)
		require.Equal(t, http.StatusMethodNotAllowed, routing.Final.Status)
	})
}

func TestMalformed(t *testing.T) {
	t.Parallel()

	for name, body := range map[string]string{
		"empty":       "",
		"not JSON":    "hola",
		"cut off":     vectorBody[:20],
		"list":        "[]",
		"text":        `"whatsapp_business_account"`,
		"null":        "null",
		"two values":  vectorBody + vectorBody,
		"deep":        strings.Repeat("[", 20000),
		"deep object": strings.Repeat(`{"entry":`, 20000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := translate([]byte(body), arrival, own)
			require.ErrorIs(t, err, &failure.Failure{Code: failure.Malformed})
			_, err = split([]byte(body))
			require.ErrorIs(t, err, &failure.Failure{Code: failure.Malformed})
		})
	}
}
