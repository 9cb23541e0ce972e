package webhook_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/webhook"
)

func TestVerifyHub(t *testing.T) {
	t.Parallel()

	body := []byte(`{"object":"page","text":"ñandú 🏠"}`)
	good := webhook.SignHub("s3cret-of-the-app", body)
	request := func(header, value string, body []byte) sdk.Request {
		return sdk.Request{Headers: []sdk.Header{{Name: "Accept", Value: "*/*"}, {Name: header, Value: value}}, Body: body}
	}
	for name, tt := range map[string]struct {
		request sdk.Request
		secrets []string
		want    bool
	}{
		"good":                {request("X-Hub-Signature-256", good, body), []string{"s3cret-of-the-app"}, true},
		"header's case":       {request("x-hub-signature-256", good, body), []string{"s3cret-of-the-app"}, true},
		"second secret":       {request(webhook.HubHeader, good, body), []string{"new", "s3cret-of-the-app"}, true},
		"wrong secret":        {request(webhook.HubHeader, good, body), []string{"other"}, false},
		"no secret":           {request(webhook.HubHeader, good, body), nil, false},
		"empty secret":        {request(webhook.HubHeader, webhook.SignHub("", body), body), []string{""}, false},
		"changed byte":        {request(webhook.HubHeader, good, append([]byte(" "), body...)), []string{"s3cret-of-the-app"}, false},
		"truncated signature": {request(webhook.HubHeader, good[:len(good)-2], body), []string{"s3cret-of-the-app"}, false},
		"empty signature":     {request(webhook.HubHeader, "sha256=", body), []string{"s3cret-of-the-app"}, false},
		"no prefix":           {request(webhook.HubHeader, good[7:], body), []string{"s3cret-of-the-app"}, false},
		"not hex":             {request(webhook.HubHeader, "sha256=zz", body), []string{"s3cret-of-the-app"}, false},
		"missing":             {request("Other", good, body), []string{"s3cret-of-the-app"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			require.Equal(t, tt.want, webhook.VerifyHub(tt.request, tt.secrets...))
		})
	}
}

// The value of RFC 4231, test case 2.
func TestSignHMACSHA256(t *testing.T) {
	t.Parallel()

	require.Equal(t, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
		webhook.SignHMACSHA256("Jefe", []byte("what do ya want for nothing?")))
}

func TestEqual(t *testing.T) {
	t.Parallel()

	require.True(t, webhook.Equal("token", "token"))
	require.False(t, webhook.Equal("token", "token2"))
	require.False(t, webhook.Equal("", ""))
}

func TestFreshCountsFromArrival(t *testing.T) {
	t.Parallel()

	arrived := time.Date(2020, 1, 1, 12, 0, 0, 0, time.UTC)
	r := sdk.Request{ReceivedAt: arrived}
	require.True(t, webhook.Fresh(r, arrived.Add(-4*time.Minute), 5*time.Minute))
	require.False(t, webhook.Fresh(r, arrived.Add(-6*time.Minute), 5*time.Minute))
	require.False(t, webhook.Fresh(r, arrived.Add(6*time.Minute), 5*time.Minute))
}

func TestDecodeJSON(t *testing.T) {
	t.Parallel()

	type document struct {
		ID    webhook.ID   `json:"id"`
		Count webhook.Int  `json:"count"`
		At    webhook.Unix `json:"at"`
		Name  string       `json:"name"`
	}
	at := time.Unix(1700000000, 0).UTC()
	for name, tt := range map[string]struct {
		body string
		want document
	}{
		"text":       {`{"id":"0123","count":"7","at":"1700000000"}`, document{ID: "0123", Count: 7, At: webhook.Unix{Time: at}}},
		"numbers":    {`{"id":12345678901234567890,"count":7,"at":1700000000}`, document{ID: "12345678901234567890", Count: 7, At: webhook.Unix{Time: at}}},
		"null":       {`{"id":null,"count":null,"at":null}`, document{}},
		"empty text": {`{"id":"","count":"","at":""}`, document{}},
		"unknown":    {`{"new":{"a":1}} `, document{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			var got document
			require.NoError(t, webhook.DecodeJSON([]byte(tt.body), &got))
			require.Equal(t, tt.want, got)
		})
	}
	for name, body := range map[string]string{
		"empty": "", "not JSON": "<html>", "cut off": `{"id":"1"`, "two values": `{} {}`, "object for id": `{"id":{}}`, "true for id": `{"id":true}`,
		"fraction": `{"count":1.5}`, "words": `{"count":"many"}`, "bad time": `{"at":"soon"}`, "endless time": `{"at":"1e300"}`,
		"wrong type": `{"name":"s3cret-value-in-body","name":123456}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			err := webhook.DecodeJSON([]byte(body), &document{})
			require.ErrorIs(t, err, &failure.Failure{Code: failure.Malformed})
			require.NotContains(t, err.Error(), "s3cret")
			require.NotContains(t, err.Error(), "123456")
		})
	}
}

func FuzzDecodeJSON(f *testing.F) {
	f.Add([]byte(`{"id":1,"at":"2","count":-3}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var v struct {
			ID    webhook.ID
			Count webhook.Int
			At    webhook.Unix
		}
		err := webhook.DecodeJSON(body, &v)
		var fail *failure.Failure
		if err != nil && !errors.As(err, &fail) {
			t.Fatal(err)
		}
	})
}
