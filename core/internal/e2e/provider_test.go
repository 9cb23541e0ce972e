package e2e_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk/simulator"
)

// account is what the provider knows an agency by.
type account struct {
	label, number, business, secret string
	// hook is the address of the agency's own webhook.
	hook string
}

// account reads an agency's account at the provider and its webhook's address.
func (d *demo) account(label string) account {
	d.t.Helper()
	a, err := d.simulator().Account(d.t.Context(), simulator.AccountRequest{Label: label})
	require.NoError(d.t, err)
	var list page[struct {
		Plugin     string
		WebhookURL string `json:"webhook_url"`
	}]
	d.signIn("owner@"+label+".example").get("/api/installations", &list)
	require.Len(d.t, list.Items, 1)
	return account{
		label, a.Settings["phone_number_id"], a.Settings["business_account_id"], a.Settings["app_secret"], list.Items[0].WebhookURL,
	}
}

type object = map[string]any

// entry is what one webhook tells of the account: one change with the members given.
func (a account) entry(members object) object {
	value := object{
		"messaging_product": "whatsapp",
		"metadata":          object{"display_phone_number": "5491150000000", "phone_number_id": a.number},
	}
	maps.Copy(value, members)
	return object{"id": a.business, "changes": []any{object{"field": "messages", "value": value}}}
}

// text is a message in which a person writes to the account.
func (a account) text(id, phone, words string, at time.Time) object {
	return a.entry(object{
		"contacts": []any{object{"profile": object{"name": "Persona " + phone}, "wa_id": phone}},
		"messages": []any{object{
			"from": phone, "id": id, "timestamp": strconv.FormatInt(at.Unix(), 10), "type": "text", "text": object{"body": words},
		}},
	})
}

// body is a webhook's body.
func body(entries ...object) []byte {
	raw, err := json.Marshal(object{"object": "whatsapp_business_account", "entry": entries})
	if err != nil {
		panic(err) // maps of strings always encode
	}
	return raw
}

// post posts a webhook once, signed, and returns the status; 0 for no answer.
func post(ctx context.Context, c *http.Client, url, secret string, raw []byte) int {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(raw))
	if err != nil {
		return 0
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(raw)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := c.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}
