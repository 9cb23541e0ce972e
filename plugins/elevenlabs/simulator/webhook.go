package simulator

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/stratohub/strato/sdk/simulator"
	"github.com/stratohub/strato/sdk/webhook"
)

// Workspace is the secret of the shared workspace, which the operator gives the
// plugin when agencies have none of their own; see [Faults.SharedWorkspace].
func Workspace() string { return "wsec_" + secret("", "shared workspace", 20) }

// Sign is the value of ElevenLabs-Signature for a body.
func Sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v0=" + webhook.SignHMACSHA256(secret, append([]byte(t+"."), body...))
}

// A webhook is switched off after so many failures in a row, when its last
// success is so long ago.
const (
	offAfter  = 10
	offSilent = 7 * 24 * time.Hour
)

// tell posts what became of a call, in the order that the switches want.
func (s *Simulator) tell(ctx context.Context, who identity, c phoneCall) {
	f := s.faults.Load()
	if f.LoseWebhooks {
		return
	}
	if !c.Script.connects() {
		_, _ = s.post(ctx, who, "call_initiation_failure", s.undialled(who, c), f)
		return
	}
	audio := func() {
		if f.Audio || f.AudioFirst {
			_, _ = s.post(ctx, who, "post_call_audio", map[string]any{
				"agent_id": c.AgentID, "conversation_id": c.ID, "full_audio": base64.StdEncoding.EncodeToString(mp3(c.playOf().summary)),
			}, f)
		}
	}
	if f.AudioFirst {
		audio()
	}
	s.transcription(ctx, who, c, f)
	if !f.AudioFirst {
		audio()
	}
}

// transcription posts the conversation, as traces if the workspace is set so.
func (s *Simulator) transcription(ctx context.Context, who identity, c phoneCall, f Faults) {
	if f.OTel {
		_, _ = s.post(ctx, who, "post_call_transcription_otel", s.traces(who, c), f)
		return
	}
	_, _ = s.post(ctx, who, "post_call_transcription", s.conversation(who, c, f), f)
}

func (s *Simulator) undialled(who identity, c phoneCall) map[string]any {
	sip := map[Script]string{ScriptBusy: "486", ScriptNoAnswer: "487", ScriptUnknown: "500"}[c.Script]
	metadata := map[string]any{"type": "twilio", "body": map[string]any{
		"CallSid": c.SID, "CallStatus": map[Script]string{ScriptBusy: "busy", ScriptNoAnswer: "no-answer", ScriptUnknown: "failed"}[c.Script],
		"SipResponseCode": sip, "To": c.Number, "From": who.Number, "Direction": "outbound-api", "Duration": "0", "CallDuration": "0",
	}}
	if c.SIP {
		code, _ := strconv.Atoi(sip)
		metadata = map[string]any{"type": "sip", "body": map[string]any{
			"from_number": who.Number, "to_number": c.Number, "sip_status_code": code, "error_reason": "INVITE failed: sip status: " + sip, "call_sid": c.SID,
		}}
	}
	return map[string]any{"agent_id": c.AgentID, "conversation_id": c.ID, "failure_reason": string(c.Script), "metadata": metadata}
}

// traces is the conversation as spans.
func (s *Simulator) traces(who identity, c phoneCall) map[string]any {
	p := c.playOf()
	text := func(key, value string) any {
		return map[string]any{"key": key, "value": map[string]any{"stringValue": value}}
	}
	root := []any{
		text("elevenlabs.telephony.external_number", c.Number), text("elevenlabs.analysis.transcript_summary", p.summary),
		text("elevenlabs.termination_reason", p.reason),
		map[string]any{"key": "elevenlabs.session.duration_ms", "value": map[string]any{"intValue": strconv.Itoa(len(p.lines) * 5000)}},
	}
	for name, v := range variables(who, c) {
		if v, ok := v.(string); ok {
			root = append(root, text("elevenlabs.dynamic_variable."+name, v))
		}
	}
	at := c.StartedAt.UnixNano()
	spans := []any{map[string]any{"name": "elevenlabs.conversation", "startTimeUnixNano": strconv.FormatInt(at, 10), "attributes": root}}
	for i, l := range p.lines {
		name, key := "elevenlabs.recv.agent_response", "elevenlabs.agent.text"
		if l.role == "user" {
			name, key = "elevenlabs.recv.user_transcript", "elevenlabs.user.text"
		}
		spans = append(spans, map[string]any{"name": name, "startTimeUnixNano": strconv.FormatInt(at+int64(i)*5e9, 10), "attributes": []any{text(key, l.text)}})
	}
	if p.tool != "" {
		spans = append(spans, map[string]any{"name": "elevenlabs.tool." + p.tool, "startTimeUnixNano": strconv.FormatInt(at+int64(len(p.lines))*5e9, 10)})
	}
	return map[string]any{"conversation_id": c.ID, "agent_id": c.AgentID, "otlp_traces": map[string]any{
		"resourceSpans": []any{map[string]any{"scopeSpans": []any{map[string]any{"spans": spans}}}},
	}}
}

// post signs an event and posts it, twice if asked to.
func (s *Simulator) post(ctx context.Context, who identity, kind string, data any, f Faults) (int, error) {
	body := encode(map[string]any{"type": kind, "event_timestamp": s.options.Now().Unix(), "data": data})
	return s.postRaw(ctx, who, kind, body, f)
}

func (s *Simulator) postRaw(ctx context.Context, who identity, kind string, body []byte, f Faults) (int, error) {
	at, err := s.address(who)
	if err != nil {
		return 0, err
	}
	key := who.WebhookSecret
	if f.SharedWorkspace {
		key = Workspace()
	}
	signed := s.options.Now().Add(-time.Duration(f.SignedSecondsAgo) * time.Second)
	signature := Sign(key, signed, body)
	if f.TwoSignatures {
		t, own := signature[:bytes.IndexByte([]byte(signature), ',')], signature[bytes.IndexByte([]byte(signature), ',')+1:]
		signature = t + ",v0=" + webhook.SignHMACSHA256("wsec_of_yesterday", body) + "," + own
	}
	d := simulator.Delivery{URL: at, Body: body, Header: http.Header{"Content-Type": {"application/json"}, "Elevenlabs-Signature": {signature}}}
	ctx, cancel := context.WithTimeout(ctx, hangUpAfter)
	defer cancel()
	status, err := s.sender.Deliver(ctx, d)
	s.count(who, status)
	again := err != nil || status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout
	if f.Retry && kind == "post_call_transcription" && again {
		pause := s.options.FirstRetry
		if pause == 0 {
			pause = time.Second
		}
		s.retrier.Enqueue(pause, d)
	}
	if f.Duplicate {
		s.sender.Enqueue(0, d)
	}
	return status, err
}

func (s *Simulator) address(who identity) (at string, err error) {
	s.state.View(func(st *state) {
		a := st.Accounts[who.Label]
		switch {
		case a == nil || a.WebhookURL == "":
			err = errors.New("the agency has no webhook address")
		case a.WebhookOff:
			err = errors.New("the agency's webhook was switched off for its failures")
		default:
			at = a.WebhookURL
		}
	})
	return at, err
}

// count switches a webhook off that fails all the time.
func (s *Simulator) count(who identity, status int) {
	now := s.options.Now()
	s.state.Change(func(st *state) {
		a := st.account(who.Label)
		if status >= 200 && status <= 299 {
			a.FailuresInRow, a.Delivered = 0, now
			return
		}
		a.FailuresInRow++
		if a.FailuresInRow >= offAfter && now.Sub(a.Delivered) > offSilent {
			a.WebhookOff = true
		}
	})
}

func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil // maps of strings and numbers always encode
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Replay implements [simulator.Provider].
func (s *Simulator) Replay(ctx context.Context, to string, asIs bool, body []byte) (simulator.Said, error) {
	known := false
	s.state.View(func(st *state) { known = st.Accounts[to] != nil })
	if !known {
		return simulator.Said{}, noAccount(to)
	}
	who, kind := identityOf(to), ""
	if !asIs {
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber() // ids have more digits than a float keeps
		var content map[string]any
		if err := d.Decode(&content); err != nil {
			return simulator.Said{}, simulator.Refuse(http.StatusUnprocessableEntity,
				"The body is not a JSON object (%v); with --as-is it is posted all the same.", err)
		}
		kind, _ = content["type"].(string)
		if data, ok := content["data"].(map[string]any); ok {
			data = maps.Clone(data)
			data["agent_id"], content["data"] = who.AgentID, data
		}
		body = encode(content)
	}
	status, err := s.postRaw(ctx, who, kind, body, s.faults.Load())
	said := simulator.Said{Status: status}
	if err != nil {
		said.Detail = err.Error()
	}
	return said, nil
}
