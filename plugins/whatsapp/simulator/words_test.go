package simulator_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/whatsapp/simulator"
	simulation "github.com/stratohub/strato/sdk/simulator"
)

// TestWords drives a running simulator by the command line.
func TestWords(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{})
	announced := filepath.Join(t.TempDir(), "whatsapp.json")
	require.NoError(t, os.WriteFile(announced, []byte(`{"base_url":"`+b.base+`"}`), 0o600))
	photo := filepath.Join(t.TempDir(), "frente.png")
	require.NoError(t, os.WriteFile(photo, []byte("\x89PNG"), 0o600))
	run := func(words ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := simulator.Program().Run(t.Context(), simulation.Surroundings{
			Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Announced: announced,
		}, words)
		return code, out.String(), errs.String()
	}

	for _, tt := range []struct {
		words string
		want  string // in the webhook
	}{
		{"say --to acme Hola, vi el depto de Palermo", `"body":"Hola, vi el depto de Palermo"`},
		{"say Hola --to acme --from +5491155550000 --name Bruno", `"name":"Bruno"`},
		{"say --to acme --photo=" + photo + " mirá", `"mime_type":"image/png"`},
		{"say --to acme --photo", `"mime_type":"image/jpeg"`},
		{"say --to acme --voice", `"voice":true`},
		{"say --to acme --document", "Recibo octubre"},
		{"say --to acme --location -34.6,-58.4,Obelisco", `"name":"Obelisco"`},
		{"say --to acme --contact Ana=+5491160004321", `"formatted_name":"Ana"`},
		{"say --to acme --ad Hola", `"ctwa_clid"`},
		{"say --to acme --type order", `"product_items"`},
		{"say --to acme --new-number +5491160009999", `"user_changed_number"`},
	} {
		code, out, errs := run(strings.Fields(tt.words)...)
		require.Zero(t, code, errs)
		require.Regexp(t, `^The message wamid\.\S+ was taken: HTTP 200\.\n$`, out)
		require.Contains(t, b.hub.last(t).raw, tt.want)
	}

	code, out, _ := run("messages", "--to", "acme", "--from", "+54 9 11 5555-0000")
	require.Zero(t, code)
	require.Contains(t, out, "The phone +5491155550000 (Bruno), its chat with acme:")
	require.NotContains(t, out, "Palermo")

	for words, want := range map[string]string{
		"say Hola":                        "Say needs --to AGENCY.",
		"say --to acme":                   "Say what to write",
		"say --to acme --location aquí":   "LAT,LON",
		"say --to acme --location 1":      "LAT,LON",
		"say --to acme --contact Ana":     "NAME=PHONE",
		"say --to acme --photo --voice":   "one kind only",
		"say --to acme --from hola chau":  `"hola" is not a phone number`,
		"say --to sur Hola":               `WhatsApp knows no agency "sur"`,
		"say --to acme --photo=/no/file":  "no such file",
		"say --to acme --button Confirmo": "no button or row",
	} {
		code, out, errs := run(strings.Fields(words)...)
		require.NotZero(t, code, words)
		require.Empty(t, out)
		require.Contains(t, errs, want)
	}

	b.hub.answerWith(401)
	code, _, errs := run("say", "--to", "acme", "Hola")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "was refused: HTTP 401, the signature does not hold.")
}
