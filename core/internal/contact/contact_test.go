package contact_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
)

type bundle struct {
	pool   *tenant.Pool
	agency tenant.Tenant
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{}
	b.pool, b.agency = tenanttest.New(t)
	return b
}

func (b *bundle) do(t *testing.T, fn func(context.Context, tenant.Scope) error) {
	t.Helper()
	tenanttest.Do(t, b.pool, b.agency, fn)
}

// identify finds or makes parties as a webhook does.
func (b *bundle) identify(t *testing.T, parties ...contact.Party) []contact.Found {
	t.Helper()
	var found []contact.Found
	b.do(t, func(ctx context.Context, s tenant.Scope) (err error) {
		if err := contact.Lock(ctx, s, parties); err != nil {
			return err
		}
		found, err = contact.Identify(ctx, s, parties)
		return err
	})
	return found
}

func (b *bundle) get(t *testing.T, i contact.ID) *contact.Contact {
	t.Helper()
	var c *contact.Contact
	require.NoError(t, b.pool.Read(t.Context(), b.agency.ID, func(ctx context.Context, s tenant.Scope) (err error) {
		c, err = contact.Get(ctx, s, i)
		return err
	}))
	return c
}

func (b *bundle) count(t *testing.T) int {
	t.Helper()
	var list []contact.Contact
	require.NoError(t, b.pool.Read(t.Context(), b.agency.ID, func(ctx context.Context, s tenant.Scope) (err error) {
		list, err = contact.List(ctx, s, contact.ID{}, 100)
		return err
	}))
	return len(list)
}

func address(kind, value string) contact.Address { return contact.Address{Kind: kind, Value: value} }

func party(name string, addresses ...contact.Address) contact.Party {
	return contact.Party{Name: name, Addresses: addresses}
}

func values(c *contact.Contact) []string {
	var out []string
	for _, i := range c.Identities {
		out = append(out, i.Kind+" "+i.Value)
	}
	return out
}

func TestIdentify(t *testing.T) {
	t.Parallel()

	t.Run("a stranger becomes a contact with every address", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		found := b.identify(t, party("Lucía Ñandú", address("wa_id", "5491160001234"), address("bsuid", "AR.1")))
		require.True(t, found[0].New)
		c := b.get(t, found[0].ID)
		require.Equal(t, "Lucía Ñandú", c.Name)
		require.ElementsMatch(t, []string{"wa_id 5491160001234", "bsuid AR.1"}, values(c))
		again := b.identify(t, party("Lucía Ñandú", address("wa_id", "5491160001234")))
		require.Equal(t, contact.Found{ID: found[0].ID}, again[0])
	})

	t.Run("a number typed by an agent finds who writes from it", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		typed := b.identify(t, party("Ana", address("phone", "+54 11 15 6000 1234")))
		wrote := b.identify(t, party("", address("wa_id", "5491160001234")))
		require.Equal(t, typed[0].ID, wrote[0].ID)
		require.ElementsMatch(t, []string{"phone +54 11 15 6000 1234", "wa_id 5491160001234"}, values(b.get(t, typed[0].ID)))
	})

	t.Run("the spelling seen last is the one to answer to", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		found := b.identify(t, party("", address("wa_id", "5491160001234")))
		b.identify(t, party("", address("wa_id", "541160001234")))
		require.Equal(t, []string{"wa_id 541160001234"}, values(b.get(t, found[0].ID)))
	})

	t.Run("the telephone's owner wins over another address's, and nothing is merged", func(t *testing.T) {
		t.Parallel()

		for name, order := range map[string][]contact.Address{
			"phone first": {address("wa_id", "5491160001234"), address("bsuid", "AR.1")},
			"phone last":  {address("bsuid", "AR.1"), address("wa_id", "5491160001234")},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()

				b := setup(t)
				phone := b.identify(t, party("Ana", address("wa_id", "5491160001234")))[0]
				scoped := b.identify(t, party("Bea", address("bsuid", "AR.1")))[0]
				require.NotEqual(t, phone.ID, scoped.ID)
				require.Equal(t, contact.Found{ID: phone.ID}, b.identify(t, party("", order...))[0])
				require.Equal(t, []string{"wa_id 5491160001234"}, values(b.get(t, phone.ID)))
				require.Equal(t, []string{"bsuid AR.1"}, values(b.get(t, scoped.ID)))
			})
		}
	})

	t.Run("a name fills in one that is missing and replaces none", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		a := address("wa_id", "5491160001234")
		who := b.identify(t, party("", a))[0].ID
		require.Empty(t, b.get(t, who).Name)
		b.identify(t, party("", a), party("Lucía", a), party("Otra", a))
		require.Equal(t, "Lucía", b.get(t, who).Name)
		b.identify(t, party("Lu", a), party("", a))
		require.Equal(t, "Lucía", b.get(t, who).Name)
	})

	t.Run("a name later in the same batch names the new contact", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		a := address("wa_id", "5491160001234")
		found := b.identify(t, party("", a), party("Lucía", a))
		require.Equal(t, found[0].ID, found[1].ID)
		require.Equal(t, "Lucía", b.get(t, found[0].ID).Name)
	})

	t.Run("what is no number is nobody else's", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		found := b.identify(t, party("", address("wa_id", "anonymous")), party("", address("wa_id", "withheld")))
		require.NotEqual(t, found[0].ID, found[1].ID)
	})

	t.Run("a party without an address is refused", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		err := b.pool.Do(t.Context(), b.agency.ID, func(ctx context.Context, s tenant.Scope) error {
			_, err := contact.Identify(ctx, s, []contact.Party{party("Ana", address("wa_id", "5491160001234")), party("Nadie")})
			return err
		})
		require.ErrorContains(t, err, "no address")
		require.Zero(t, b.count(t))
	})

	t.Run("many at once make one person", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		const writers = 8
		errs := make(chan error, writers)
		for n := range writers {
			parties := []contact.Party{party("Ana", address("wa_id", "5491160001234")), party("Bea", address("wa_id", "5491160009999"))}
			if n%2 == 1 { // locks in the order of the parties would close a circle
				slices.Reverse(parties)
			}
			go func() {
				errs <- b.pool.Do(t.Context(), b.agency.ID, func(ctx context.Context, s tenant.Scope) error {
					if err := contact.Lock(ctx, s, parties); err != nil {
						return err
					}
					_, err := contact.Identify(ctx, s, parties)
					return err
				})
			}()
		}
		for range writers {
			require.NoError(t, <-errs)
		}
		require.Equal(t, 2, b.count(t))
	})
}

func TestLink(t *testing.T) {
	t.Parallel()

	link := func(t *testing.T, b *bundle, previous, addresses []contact.Address) contact.ID {
		t.Helper()
		var owner contact.ID
		b.do(t, func(ctx context.Context, s tenant.Scope) (err error) {
			owner, err = contact.Link(ctx, s, previous, addresses)
			return err
		})
		return owner
	}
	before, after := []contact.Address{address("wa_id", "5491160001234")}, []contact.Address{address("wa_id", "5493815550201")}

	t.Run("a new number is the same person's, and telling again teaches nothing", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		who := b.identify(t, party("Ana", before...))[0].ID
		require.Equal(t, who, link(t, b, before, after))
		require.Equal(t, contact.Found{ID: who}, b.identify(t, party("", after...))[0])
		require.Zero(t, link(t, b, before, after))
	})

	t.Run("a number that somebody has stays theirs", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.identify(t, party("Ana", before...))
		other := b.identify(t, party("Bea", after...))[0].ID
		require.Zero(t, link(t, b, before, after))
		require.Equal(t, []string{"wa_id 5493815550201"}, values(b.get(t, other)))
	})

	t.Run("nobody is known by the old number", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		require.Zero(t, link(t, b, before, after))
		require.Zero(t, b.count(t))
	})
}

func TestLearn(t *testing.T) {
	t.Parallel()

	b := setup(t)
	ana := b.identify(t, party("Ana", address("wa_id", "5491160001234")))[0].ID
	b.identify(t, party("Bea", address("bsuid", "AR.2")))
	b.do(t, func(ctx context.Context, s tenant.Scope) error {
		return contact.Learn(ctx, s, ana, []contact.Address{address("bsuid", "AR.1"), address("bsuid", "AR.2")})
	})
	require.ElementsMatch(t, []string{"wa_id 5491160001234", "bsuid AR.1"}, values(b.get(t, ana)))
}

func TestTenantsShareNobody(t *testing.T) {
	t.Parallel()

	one, two := setup(t), setup(t)
	a := address("wa_id", "5491160001234")
	who := one.identify(t, party("Ana", a))[0]
	other := two.identify(t, party("Ana", a))[0]
	require.True(t, other.New)
	require.NotEqual(t, who.ID, other.ID)
	err := two.pool.Read(t.Context(), two.agency.ID, func(ctx context.Context, s tenant.Scope) error {
		_, err := contact.Get(ctx, s, who.ID)
		return err
	})
	require.ErrorIs(t, err, contact.ErrNotFound)
}
