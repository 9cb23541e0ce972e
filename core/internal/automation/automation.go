// Package automation decides what follows when a customer wrote: a greeting by
// the assistant, or routing to a person. Deciding is a pure function; the worker
// carries the decision out.
package automation

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/lead"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/team"
	"github.com/stratohub/strato/core/internal/tenant"
)

// Action is what to do.
type Action string

// The actions.
const (
	Nothing Action = ""
	Greet   Action = "greet"
	Route   Action = "route"
)

// State is what a decision is made from.
type State struct {
	Holder   conversation.Holder
	Assigned bool
	Greeted  bool
	// Answered says that the customer wrote since the greeting.
	Answered bool
	// Greeting is what the assistant would say; empty if there is none.
	Greeting string
	// AsksForPerson says that the customer asked for one.
	AsksForPerson bool
}

// Decide says what follows a customer's message, and why.
func Decide(s State) (Action, string) {
	switch {
	case s.Holder == conversation.HeldByHuman:
		return Nothing, "a person has the conversation"
	case s.Holder == conversation.HeldByNone && s.Assigned:
		return Nothing, "an agent was given the conversation"
	case s.Holder == conversation.HeldByNone:
		return Route, "nobody has the conversation"
	case s.AsksForPerson:
		return Route, "the customer asked for a person"
	case !s.Greeted && s.Greeting != "":
		return Greet, "the assistant has not greeted"
	case !s.Greeted:
		return Route, "the assistant has no greeting"
	case !s.Answered:
		return Nothing, "the greeting waits for an answer"
	}
	return Route, "the customer answered the greeting"
}

// Worker carries out what follows the messages of conversations. Doing it again
// changes nothing: each step looks at the state under a lock. It knows of
// changes to the agency's people within ten seconds.
func Worker(pool *tenant.Pool) func(context.Context, *queue.Job[conversation.Followed]) error {
	roster := team.NewRoster(pool)
	return func(ctx context.Context, job *queue.Job[conversation.Followed]) error {
		agents, err := roster.Agents(ctx, job.Args.Tenant)
		if err != nil {
			return err
		}
		var all error
		for _, id := range job.Args.Conversations {
			err := pool.Do(ctx, job.Args.Tenant, func(ctx context.Context, s tenant.Scope) error {
				return follow(ctx, s, id, agents)
			})
			if errors.Is(err, conversation.ErrNotFound) {
				continue
			}
			all = errors.Join(all, err)
		}
		return all
	}
}

func follow(ctx context.Context, s tenant.Scope, i conversation.ID, agents []uuid.UUID) error {
	f, err := conversation.Follow(ctx, s, i)
	if err != nil {
		return err
	}
	state := State{
		Holder: f.Holder, Assigned: f.AssigneeID != uuid.Nil, Greeted: !f.GreetedAt.IsZero(), Answered: len(f.Texts) > 0,
	}
	if f.Assistant != nil {
		state.Greeting = f.Assistant.GreetingFor(f.ContactName)
		state.AsksForPerson = slices.ContainsFunc(f.Texts, f.Assistant.AsksForPerson)
	}
	action, reason := Decide(state)
	switch action {
	case Nothing:
	case Greet:
		return greet(ctx, s, f, state.Greeting, agents)
	case Route:
		return route(ctx, s, i, agents, reason)
	}
	return nil
}

// greet has the assistant speak. Where it may not, a person is needed.
func greet(ctx context.Context, s tenant.Scope, f *conversation.Followable, text string, agents []uuid.UUID) error {
	_, err := conversation.Send(ctx, s, conversation.Draft{
		Conversation: f.ID, Text: text, Author: conversation.ByAssistant, AuthorID: f.Assistant.ID.UUID, Epoch: f.Epoch,
	})
	switch {
	case errors.Is(err, conversation.ErrWindowClosed):
		return route(ctx, s, f.ID, agents, "the time for a greeting is over")
	case errors.Is(err, conversation.ErrText):
		return route(ctx, s, f.ID, agents, "the greeting is too long to be sent")
	case err != nil:
		return err
	}
	return conversation.Greeted(ctx, s, f.ID)
}

func route(ctx context.Context, s tenant.Scope, i conversation.ID, agents []uuid.UUID, reason string) error {
	open, err := lead.OpenCounts(ctx, s, agents)
	if err != nil {
		return err
	}
	return conversation.Route(ctx, s, i, team.Next(agents, open), reason)
}
