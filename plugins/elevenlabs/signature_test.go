package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/elevenlabs/simulator"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/serve"
)

func TestVerify(t *testing.T) {
	t.Parallel()

	raw, err := os.ReadFile("testdata/signature.json")
	require.NoError(t, err)
	var vector struct {
		Secret string `json:"secret"`
		At     int64  `json:"timestamp"`
		Body   string `json:"raw_body"`
		Name   string `json:"header_name"`
		Value  string `json:"header_value"`
	}
	require.NoError(t, json.Unmarshal(raw, &vector))
	at := time.Unix(vector.At, 0)
	stamp, good, _ := strings.Cut(vector.Value, ",")
	bad := "v0=" + strings.Repeat("0", 64)

	for name, tt := range map[string]struct {
		header, value, body, secret string
		arrived                     time.Time
		want                        bool
	}{
		"as documented":             {value: vector.Value, want: true},
		"lower-case header":         {header: strings.ToLower(vector.Name), value: vector.Value, want: true},
		"spaces":                    {value: stamp + ", " + good, want: true},
		"the first of two":          {value: stamp + "," + good + "," + bad, want: true},
		"the second of two":         {value: stamp + "," + bad + "," + good, want: true},
		"just in time":              {value: vector.Value, arrived: at.Add(30 * time.Minute), want: true},
		"too old":                   {value: vector.Value, arrived: at.Add(30*time.Minute + time.Second)},
		"of the near future":        {value: vector.Value, arrived: at.Add(-5 * time.Minute), want: true},
		"of the far future":         {value: vector.Value, arrived: at.Add(-5*time.Minute - time.Second)},
		"another body":              {value: vector.Value, body: vector.Body + " "},
		"another secret":            {value: vector.Value, secret: "wsec_other"},
		"no secret":                 {value: vector.Value, secret: "-"},
		"another time":              {value: "t=1795442512," + good},
		"no time":                   {value: good},
		"no signature":              {value: stamp},
		"truncated":                 {value: vector.Value[:len(vector.Value)-2]},
		"another version":           {value: stamp + ",v1=" + strings.TrimPrefix(good, "v0=")},
		"a time that is none":       {value: "t=soon," + good},
		"a time beyond all numbers": {value: "t=99999999999999999999," + good},
		"nothing":                   {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			r := sdk.Request{Body: []byte(vector.Body), ReceivedAt: at, Headers: []sdk.Header{{Name: or(tt.header, vector.Name), Value: tt.value}}}
			if tt.body != "" {
				r.Body = []byte(tt.body)
			}
			if !tt.arrived.IsZero() {
				r.ReceivedAt = tt.arrived
			}
			secret := strings.TrimPrefix(or(tt.secret, vector.Secret), "-")
			require.Equal(t, tt.want, verify(r, secret))
		})
	}
}

// A webhook that the core kept for hours is judged by when it came.
func TestReplayOfAnOldWebhook(t *testing.T) {
	t.Parallel()

	s := &studio{webhookSecret: "wsec_x", installation: "i"}
	arrived := time.Now().Add(-72 * time.Hour)
	body := []byte(`{"type":"call_initiation_failure","data":{"agent_id":"a","conversation_id":"c","failure_reason":"busy"}}`)
	w := sdk.Webhook{Replay: true, Request: sdk.Request{
		Method: "POST", Body: body, ReceivedAt: arrived,
		Headers: []sdk.Header{{Name: signatureHeader, Value: simulator.Sign("wsec_x", arrived.Add(-time.Minute), body)}},
	}}
	result, err := s.HandleWebhook(t.Context(), w)
	require.NoError(t, err)
	require.True(t, result.Verified)
	require.Len(t, result.Events, 1)
	require.Equal(t, stateBusy, result.Events[0].Payload.(sdk.CallUpdate).State)

	w.Request.ReceivedAt = time.Now()
	result, err = s.HandleWebhook(t.Context(), w)
	require.NoError(t, err)
	require.False(t, result.Verified, "signed three days before it came")
	require.Empty(t, result.Events)
}

func TestRoute(t *testing.T) {
	t.Parallel()

	env := serve.Env{Operator: map[string]string{"webhook_secret": simulator.Workspace()}}
	request := func(method, body string) sdk.Request {
		return sdk.Request{Method: method, Body: []byte(body), ReceivedAt: arrival, Headers: []sdk.Header{
			{Name: signatureHeader, Value: simulator.Sign(simulator.Workspace(), arrival, []byte(body))},
		}}
	}
	got, err := route(t.Context(), env, "", request("POST", `{"type":"x","data":{"agent_id":"agent_a"}}`))
	require.NoError(t, err)
	require.Equal(t, sdk.Routing{Verified: true, Parts: []sdk.RoutedPart{{Keys: []sdk.RouteKey{{Kind: keyAgent, Value: "agent_a"}}}}}, got)

	got, err = route(t.Context(), env, "", request("POST", `{"type":"voice_removal_notice","data":{}}`))
	require.NoError(t, err)
	require.Equal(t, 200, got.Final.Status, "nobody's, so nobody gets it")

	got, err = route(t.Context(), serve.Env{}, "", request("POST", `{"type":"x","data":{"agent_id":"agent_a"}}`))
	require.NoError(t, err)
	require.False(t, got.Verified, "an operator without a secret takes nothing")

	got, err = route(t.Context(), env, "", request("GET", ``))
	require.NoError(t, err)
	require.Equal(t, 405, got.Final.Status)

	_, err = route(t.Context(), env, "", request("POST", `[]`))
	require.Error(t, err)
}
