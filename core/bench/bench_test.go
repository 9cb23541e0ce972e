package main

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMedian(t *testing.T) {
	t.Parallel()

	require.InDelta(t, 2, side{3, 1, 2}.median(), 0)
	require.InDelta(t, 2.5, side{4, 1, 2, 3}.median(), 0)
	require.InDelta(t, 0, side{}.median(), 0)
}

func TestReport(t *testing.T) {
	t.Parallel()

	var out bytes.Buffer
	require.NoError(t, report(&out, "a machine", []row{
		{what: "writes", unit: "/s", floor: side{100, 200, 300}, strato: side{160}, aim: 0.6, rate: true},
		{what: "reads", unit: "/s", floor: side{100}, strato: side{10}, floorCPU: side{100}, stratoCPU: side{200}, aim: 0.5, rate: true},
		{what: "calls", unit: "µs", floor: side{2}, strato: side{5.5}, aim: 2.5},
	}))

	require.Contains(t, out.String(), "| writes | 160 (160–160) /s | 200 (100–300) /s |  | **0.80** | ≥ 0.6 | met | – |")
	require.Contains(t, out.String(), "| **0.10** | ≥ 0.5 | missed | 200 : 100 (0.50) |")
	require.Contains(t, out.String(), "| **2.75** | ≤ 2.5 | missed |")
}

func TestRateOf(t *testing.T) {
	t.Parallel()

	rate, count, err := rateOf("number of transactions actually processed: 7000\nnumber of failed transactions: 0 (0.000%)\nlatency average = 2 ms\ntps = 1234.5 (without initial connection time)\n")
	require.NoError(t, err)
	require.InDelta(t, 1234.5, rate, 0)
	require.Equal(t, 7000, count)

	_, _, err = rateOf("number of failed transactions: 7 (1%)\ntps = 1234.5 (without initial connection time)\n")
	require.ErrorContains(t, err, "7 transactions failed")
	_, _, err = rateOf("pgbench: error\n")
	require.ErrorContains(t, err, "no rate")
}

func TestScripts(t *testing.T) {
	t.Parallel()

	f := &floor{Tenant: "t", Installation: "i", Delivery: `'\x00'`, Result: `'\x00'`, Customers: 7}
	for _, text := range []string{seedSQL, acceptSQL, receiveSQL} {
		script, err := f.render(text)
		require.NoError(t, err)
		require.NotContains(t, script, "{{")
	}
}

func TestMessage(t *testing.T) {
	t.Parallel()

	a := &account{webhook: &url.URL{Host: "h", Path: "/p"}, settings: map[string]string{
		"app_secret": "s", "phone_number_id": "106", "business_account_id": "215", "verify_token": "v", "access_token": "a",
	}}
	body := a.message(3, "wamid.x")
	require.True(t, json.Valid(body))
	require.Contains(t, string(body), `"wa_id":"5491155600003"`)
	require.NotEqual(t, a.sign(body), a.sign(append(body, ' ')))

	request, err := a.delivery(body)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"/app_secret": "s", "/verify_token": "v", "/access_token": "a"}, request.GetInstallation().GetSecrets())
	require.NotContains(t, string(request.GetInstallation().GetSettingsJson()), "app_secret")
}

func TestCPU(t *testing.T) {
	t.Parallel()

	before := cpuOf(os.Getpid())
	for start := time.Now(); time.Since(start) < 200*time.Millisecond; {
		_ = pad(nil)
	}
	require.Greater(t, cpuOf(os.Getpid()), before)
	require.Zero(t, cpuOf(-1))
}
