package main

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// optionPage is how many choices are asked for at once.
const optionPage = "50"

// Options implements [sdk.OptionLister].
func (s *studio) Options(ctx context.Context, q sdk.OptionQuery) ([]sdk.Option, string, error) {
	switch q.Source {
	case "voices":
		return s.voices(ctx, q)
	case "models":
		return s.models(ctx, q)
	case "agents":
		return s.agents(ctx, q)
	case "phone_numbers":
		return s.phoneNumbers(ctx, q)
	}
	return nil, "", refusal(failure.Unsupported, failure.Plugin, "there is no such list")
}

func (s *studio) voices(ctx context.Context, q sdk.OptionQuery) ([]sdk.Option, string, error) {
	query := url.Values{"page_size": {optionPage}}
	set(query, "search", q.Query)
	set(query, "next_page_token", q.PageToken)
	var page struct {
		Voices []struct {
			ID          str            `json:"voice_id"`
			Name        str            `json:"name"`
			Category    str            `json:"category"`
			Description str            `json:"description"`
			Labels      map[string]str `json:"labels"`
		} `json:"voices"`
		More bool `json:"has_more"`
		Next str  `json:"next_page_token"`
	}
	if err := s.api.do(ctx, call{path: []string{"v2", "voices"}, query: query}, &page); err != nil {
		return nil, "", err
	}
	var out []sdk.Option
	for _, v := range page.Voices {
		about := []string{string(v.Description), string(v.Labels["language"]), string(v.Labels["accent"]), string(v.Labels["gender"]), string(v.Category)}
		about = slices.DeleteFunc(about, func(s string) bool { return s == "" })
		out = append(out, sdk.Option{Value: string(v.ID), Label: or(string(v.Name), string(v.ID)), Description: clip(strings.Join(about, " · "), 300)})
	}
	if !page.More {
		page.Next = ""
	}
	return out, string(page.Next), nil
}

func (s *studio) models(ctx context.Context, q sdk.OptionQuery) ([]sdk.Option, string, error) {
	var list []struct {
		ID          str  `json:"model_id"`
		Name        str  `json:"name"`
		Description str  `json:"description"`
		Speaks      bool `json:"can_do_text_to_speech"`
	}
	if err := s.api.do(ctx, call{path: []string{"v1", "models"}}, &list); err != nil {
		return nil, "", err
	}
	var out []sdk.Option
	for _, m := range list {
		if m.Speaks && matches(q.Query, m.ID, m.Name) {
			out = append(out, sdk.Option{Value: string(m.ID), Label: or(string(m.Name), string(m.ID)), Description: clip(string(m.Description), 300)})
		}
	}
	return out, "", nil
}

func (s *studio) agents(ctx context.Context, q sdk.OptionQuery) ([]sdk.Option, string, error) {
	query := url.Values{"page_size": {optionPage}}
	set(query, "search", q.Query)
	set(query, "cursor", q.PageToken)
	var page struct {
		Agents []struct {
			ID   str `json:"agent_id"`
			Name str `json:"name"`
		} `json:"agents"`
		More bool `json:"has_more"`
		Next str  `json:"next_cursor"`
	}
	if err := s.api.do(ctx, call{path: []string{"v1", "convai", "agents"}, query: query}, &page); err != nil {
		return nil, "", err
	}
	var out []sdk.Option
	for _, a := range page.Agents {
		out = append(out, sdk.Option{Value: string(a.ID), Label: or(string(a.Name), string(a.ID))})
	}
	if !page.More {
		page.Next = ""
	}
	return out, string(page.Next), nil
}

// number is a phone number from which agents call.
type number struct {
	ID       str `json:"phone_number_id"`
	Number   str `json:"phone_number"`
	Label    str `json:"label"`
	Provider str `json:"provider"`
}

func (s *studio) numbers(ctx context.Context) ([]number, error) {
	var list []number
	return list, s.api.do(ctx, call{path: []string{"v1", "convai", "phone-numbers"}}, &list)
}

func (s *studio) phoneNumbers(ctx context.Context, q sdk.OptionQuery) ([]sdk.Option, string, error) {
	list, err := s.numbers(ctx)
	if err != nil {
		return nil, "", err
	}
	var out []sdk.Option
	for _, n := range list {
		if matches(q.Query, n.Number, n.Label) {
			out = append(out, sdk.Option{Value: string(n.ID), Label: or(string(n.Label), string(n.Number)), Description: strings.TrimSpace(string(n.Number) + " " + string(n.Provider))})
		}
	}
	return out, "", nil
}

func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

// matches reports whether any text has what was typed in it.
func matches(typed string, texts ...str) bool {
	typed = strings.ToLower(typed)
	return slices.ContainsFunc(texts, func(s str) bool { return strings.Contains(strings.ToLower(string(s)), typed) })
}
