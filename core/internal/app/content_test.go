package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Messages of any kind go in by REST, and what the channel cannot carry is
// refused with the place of each fault.
func TestContent(t *testing.T) {
	t.Parallel()

	w := newWorld(t)
	path := "/api/conversations/" + w.acme.conversation.String() + "/messages"
	send := func(body any) answer {
		return w.do(t, ask{method: "POST", path: path, token: w.acme.owner, body: body})
	}
	type object = map[string]any

	got := send(object{"text": "hola", "hints": object{"tag": "x"}})
	require.Equal(t, 201, got.status, got.text)
	require.Equal(t, object{"hints": object{"tag": "x"}}, got.json(t)["content"])
	got = send(object{"content": object{"interactive": object{"body": "¿Lo ves?", "buttons": []object{{"title": "Sí", "id": "si"}}}}})
	require.Equal(t, 201, got.status, got.text)
	require.Equal(t, "interactive", got.string(t, "type"))
	require.Equal(t, "¿Lo ves?", got.string(t, "text"))

	for name, tt := range map[string]struct {
		body    any
		code    string
		pointer string
	}{
		"neither":             {object{}, "message.text", "/text"},
		"both":                {object{"text": "a", "content": object{"text": object{"body": "a"}}}, "message.content", "/content"},
		"no kind":             {object{"content": object{}}, "message.content", "/content"},
		"a kind of nobody's":  {object{"content": object{"poll": object{}}}, "request.invalid", "/content/poll"},
		"a kind of another's": {object{"content": object{"cards": object{"items": []object{{"title": "a"}}}}}, "message.content", "/content/cards"},
		"too many buttons": {
			object{"content": object{"interactive": object{"body": "a", "buttons": []object{{"title": "1"}, {"title": "2"}, {"title": "3"}, {"title": "4"}}}}},
			"message.content", "/content/interactive/buttons",
		},
		"beyond the earth":   {object{"content": object{"location": object{"latitude": 91, "longitude": 0}}}, "request.invalid", "/content/location/latitude"},
		"a hint of no name":  {object{"text": "a", "hints": object{"": "x"}}, "message.content", "/hints"},
		"a hint of no words": {object{"text": "a", "hints": object{"x": 1}}, "request.invalid", "/hints/x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			got := send(tt.body)
			got.refused(t, 422, tt.code)
			require.Contains(t, got.text, `"pointer":"`+tt.pointer+`"`)
		})
	}
}
