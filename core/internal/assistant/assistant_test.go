package assistant_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/assistant"
	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func TestGreetingFor(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct{ greeting, name, want string }{
		"first name":           {"¡Hola{name}! ¿Qué buscás?", "Lucía Ferreyra", "¡Hola, Lucía! ¿Qué buscás?"},
		"no name":              {"¡Hola{name}! ¿Qué buscás?", "", "¡Hola! ¿Qué buscás?"},
		"a name of blanks":     {"¡Hola{name}!", " \t ", "¡Hola!"},
		"blanks around it":     {"¡Hola{name}!", "  Ana\u00a0Paz ", "¡Hola, Ana!"},
		"twice":                {"{name}… {name}", "Ana", ", Ana… , Ana"},
		"no placeholder":       {"Hola", "Ana", "Hola"},
		"a placeholder's name": {"Hola{name}", "{name}", "Hola, {name}"},
		"nothing to say":       {" \n ", "Ana", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			a := assistant.Assistant{Greeting: tt.greeting}
			require.Equal(t, tt.want, a.GreetingFor(tt.name))
		})
	}
}

func TestAsksForPerson(t *testing.T) {
	t.Parallel()

	a := assistant.Assistant{HandoffWords: []string{"humano", "persona", "dueno", "atencion"}}
	for text, want := range map[string]bool{
		"Quiero hablar con una persona":    true,
		"PERSONA!!!":                       true,
		"¿hay algún humano?":               true,
		"necesito atención":                true,
		"necesito atencio\u0301n, gracias": true, // the accent apart from its letter
		"con el dueño, por favor":          true,
		"persona/humano":                   true,
		"busco depto de 2 ambientes":       false,
		"personas mayores":                 false, // a word, not a part of one
		"impersona":                        false,
		"":                                 false,
		"👋":                                false,
	} {
		require.Equal(t, want, a.AsksForPerson(text), text)
	}
	none := assistant.Assistant{}
	require.False(t, none.AsksForPerson("persona"))
}

func TestDefault(t *testing.T) {
	t.Parallel()

	pool, agency := tenanttest.New(t)
	find := func() (a *assistant.Assistant) {
		tenanttest.Do(t, pool, agency, func(ctx context.Context, s tenant.Scope) (err error) {
			require.NoError(t, assistant.Seed(ctx, s, "Otra")) // there is one already: nothing changes
			a, err = assistant.Default(ctx, s)
			return err
		})
		return a
	}
	a := find()
	require.Contains(t, a.GreetingFor("Ana"), "¡Hola, Ana! Gracias por escribir a Prueba.")
	require.True(t, a.AsksForPerson("¿me pasás con un asesor?"))

	tenanttest.Do(t, pool, agency, func(ctx context.Context, s tenant.Scope) error {
		_, err := s.Exec(ctx, `update crm.assistants set active = false where tenant_id = $1`, s.Tenant())
		return err
	})
	require.Nil(t, find())
}
