package webhook_test

import (
	"fmt"
	"time"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/webhook"
)

// A webhook is verified over its raw bytes, then read.
func Example() {
	const secret = "the-secret-of-the-app"
	body := []byte(`{"id": 17, "at": "1700000000", "text": "hola"}`)
	r := sdk.Request{
		Method: "POST", Body: body, ReceivedAt: time.Unix(1700000060, 0),
		Headers: []sdk.Header{{Name: "x-hub-signature-256", Value: webhook.SignHub(secret, body)}},
	}

	var m struct {
		ID   webhook.ID   `json:"id"`
		At   webhook.Unix `json:"at"`
		Text string       `json:"text"`
	}
	if !webhook.VerifyHub(r, secret) {
		fmt.Println("not from the provider")
		return
	}
	if err := webhook.DecodeJSON(r.Body, &m); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.ID, m.Text, webhook.Fresh(r, m.At.Time, 5*time.Minute))
	// Output: 17 hola true
}

// What is not as documented is a failure that tells the place, never a value.
func ExampleDecodeJSON() {
	var m struct {
		Amount int `json:"amount"`
	}
	fmt.Println(webhook.DecodeJSON([]byte(`{"amount": "a secret"}`), &m))
	fmt.Println(webhook.DecodeJSON([]byte(`{"amount": 1`), &m))
	// Output:
	// malformed: the body has a string where "amount" should be something else
	// malformed: the body is not the JSON that the provider documents
}
