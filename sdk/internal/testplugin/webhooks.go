package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/serve"
)

// route reads lines of "ACCOUNT words", and gives each account's its words. The
// next version marks them as its own, and reads "2:ACCOUNT words" too.
func route(_ context.Context, _ serve.Env, _ string, r sdk.Request) (sdk.Routing, error) {
	out := sdk.Routing{Verified: true}
	for line := range strings.Lines(string(r.Body)) {
		account, words, _ := strings.Cut(strings.TrimSpace(line), " ")
		if account == "exit" {
			os.Exit(9)
		}
		if newer, ok := strings.CutPrefix(account, "2:"); ok {
			if mode != "v2" {
				continue
			}
			account = newer
		}
		if mode == "v2" {
			words += " by v2"
		}
		out.Parts = append(out.Parts, sdk.RoutedPart{Keys: []sdk.RouteKey{{Kind: "account", Value: account}}, Body: []byte(words)})
	}
	return out, nil
}

// Check confirms an account whose name begins with @ as a routing key.
func (e *echo) Check(context.Context, bool) (sdk.CheckResult, error) {
	out := sdk.CheckResult{State: sdk.HealthOK}
	if strings.HasPrefix(e.account, "@") {
		out.ConfirmedKeys = []sdk.RouteKey{{Kind: "account", Value: e.account}}
	}
	return out, nil
}

// told are the events of a body "said ID PHONE TEXT…": a message; and
// "forged ID PHONE ACCOUNT": one that claims to be another account's.
func told(body []byte) []sdk.Event {
	words := bytes.SplitN(body, []byte(" "), 4)
	if len(words) < 4 || string(words[0]) != "said" && string(words[0]) != "forged" {
		return nil
	}
	id, phone, text := string(words[1]), string(words[2]), string(words[3])
	e := sdk.Event{DedupeKey: "in:" + id, OccurredAt: time.Now(), Payload: sdk.InboundMessage{
		ProviderMessageID: id, Content: sdk.Text{Body: text},
		From: sdk.Party{DisplayName: "Who " + phone, Addresses: []sdk.Address{{Kind: "phone", Value: phone}}},
	}}
	if string(words[0]) == "forged" {
		e.RouteKeys = []sdk.RouteKey{{Kind: "account", Value: text}}
	}
	return []sdk.Event{e}
}
