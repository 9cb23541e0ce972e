package conversation

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/fault"
)

func TestCheckOfContent(t *testing.T) {
	t.Parallel()

	channel := Channel{
		Kinds: []string{"text", "template", "interactive", "contacts"},
		Limits: map[string]Limit{
			"text":    {Chars: map[string]int{"body": 20}},
			"buttons": {Items: 2, Chars: map[string]int{"body": 10, "title": 5}},
			"list":    {Items: 2, Chars: map[string]int{"list_label": 5, "title": 5, "id": 3}},
		},
	}
	row := func(id string) Row { return Row{ID: id, Title: "T"} }
	for name, tt := range map[string]struct {
		what     Saying
		pointers []string
	}{
		"nothing":                      {Saying{}, []string{"/content"}},
		"two things":                   {Saying{Text: &Words{Body: "a"}, Location: &Location{}}, []string{"/content"}},
		"text":                         {Saying{Text: &Words{Body: "hola"}}, nil},
		"blank":                        {Saying{Text: &Words{Body: "  "}}, []string{"/content/text/body"}},
		"long, by characters":          {Saying{Text: &Words{Body: strings.Repeat("ñ", 21)}}, []string{"/content/text/body"}},
		"a kind that there is none of": {Saying{Location: &Location{}}, []string{"/content/location"}},
		"cards":                        {Saying{Cards: &Cards{Items: []Tile{{Title: "a"}}}}, []string{"/content/cards"}},
		"cards with words":             {Saying{Cards: &Cards{Items: []Tile{{Title: "a"}}, Fallback: "a"}}, nil},
		"cards with too many words":    {Saying{Cards: &Cards{Fallback: strings.Repeat("a", 21)}}, []string{"/content/cards/fallback"}},
		"buttons": {
			Saying{Interactive: &Interactive{Body: "Cuánto pagarías", Buttons: []Button{{Title: "Poco"}, {Title: "Poco"}, {Title: "Muchísimo"}}}},
			[]string{"/content/interactive/body", "/content/interactive/buttons", "/content/interactive/buttons/1/title", "/content/interactive/buttons/2/title"},
		},
		"no choices":   {Saying{Interactive: &Interactive{Body: "a"}}, []string{"/content/interactive"}},
		"both choices": {Saying{Interactive: &Interactive{Body: "a", ListLabel: "b", Buttons: []Button{{Title: "c"}}, Sections: []Section{{Rows: []Row{row("a")}}}}}, []string{"/content/interactive"}},
		"list":         {Saying{Interactive: &Interactive{Body: "a", ListLabel: "b", Sections: []Section{{Rows: []Row{row("a"), row("b")}}}}}, nil},
		"list with faults": {
			Saying{Interactive: &Interactive{Body: "a", Sections: []Section{{Title: "x", Rows: []Row{row("a"), row("a")}}, {Rows: []Row{row("long")}}}}},
			[]string{
				"/content/interactive/list_label", "/content/interactive/sections/0/rows/1/id", "/content/interactive/sections/1/title",
				"/content/interactive/sections/1/rows/0/id", "/content/interactive/sections",
			},
		},
		"template": {Saying{Template: &Template{Params: []TemplateParam{{Component: "body", Text: "a"}, {Component: "button", SubType: "url"}}}}, nil},
		"template with faults": {
			Saying{Template: &Template{Params: []TemplateParam{{Component: "body", SubType: "url", Location: &Location{}}, {Component: "button"}}}},
			[]string{"/content/template/params/0/sub_type", "/content/template/params/0/location", "/content/template/params/1/sub_type"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			err := tt.what.check(channel)
			if tt.pointers == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrContent)
			var got []string
			for _, f := range fault.Of(err).Fields {
				got = append(got, f.Pointer)
			}
			require.Equal(t, tt.pointers, got)
		})
	}
}
