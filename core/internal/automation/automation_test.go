package automation_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/automation"
	"github.com/stratohub/strato/core/internal/conversation"
)

func TestDecide(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		in   automation.State
		want automation.Action
	}{
		"first message is greeted":        {automation.State{Holder: conversation.HeldByBot, Greeting: "Hola"}, automation.Greet},
		"answer to the greeting":          {automation.State{Holder: conversation.HeldByBot, Greeting: "Hola", Greeted: true, Answered: true}, automation.Route},
		"nothing new since the greeting":  {automation.State{Holder: conversation.HeldByBot, Greeting: "Hola", Greeted: true}, automation.Nothing},
		"asks for a person at once":       {automation.State{Holder: conversation.HeldByBot, Greeting: "Hola", AsksForPerson: true}, automation.Route},
		"assistant without a greeting":    {automation.State{Holder: conversation.HeldByBot}, automation.Route},
		"nobody has it":                   {automation.State{Holder: conversation.HeldByNone, Greeting: "Hola"}, automation.Route},
		"nobody answers but it was given": {automation.State{Holder: conversation.HeldByNone, Assigned: true}, automation.Nothing},
		"a person has it":                 {automation.State{Holder: conversation.HeldByHuman, AsksForPerson: true}, automation.Nothing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			got, reason := automation.Decide(tt.in)
			require.Equal(t, tt.want, got)
			require.NotEmpty(t, reason)
		})
	}
}
