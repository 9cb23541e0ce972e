package simulator

import (
	"slices"
	"strings"
)

func (s *Simulator) getInfo(v visit) result {
	return success(map[string]any{
		"id": jsonNumber(v.who.Page), "name": v.who.Name, "category": "Real estate", "avatar_link": "", "username": v.who.Label,
		"about": "", "description": "", "is_pro": !v.faults.NotPro, "timezone": "America/Argentina/Buenos_Aires",
	})
}

func (s *Simulator) getTags(v visit) result {
	list := []any{}
	s.state.View(func(st *state) {
		for i, name := range st.account(v.who.Label).Tags {
			list = append(list, map[string]any{"id": 55210 + i, "name": name})
		}
	})
	return success(list)
}

func (s *Simulator) createTag(v visit) result {
	name := strings.TrimSpace(v.text("name"))
	if name == "" {
		return invalid(v.faults, "name", "name cannot be blank.")
	}
	id := 0
	s.state.Change(func(st *state) {
		a := st.account(v.who.Label)
		if !slices.Contains(a.Tags, name) {
			a.Tags = append(a.Tags, name)
		}
		id = 55210 + slices.Index(a.Tags, name)
	})
	return success(map[string]any{"tag": map[string]any{"id": id, "name": name}})
}

func (s *Simulator) getCustomFields(v visit) result {
	list := []any{}
	s.state.View(func(st *state) {
		for _, f := range st.account(v.who.Label).Fields {
			list = append(list, describe(f))
		}
	})
	return success(list)
}

func describe(f field) map[string]any {
	return map[string]any{"id": f.ID, "name": f.Name, "type": f.Type, "description": ""}
}

func (s *Simulator) createCustomField(v visit) result {
	f := field{Name: strings.TrimSpace(v.text("caption")), Type: v.text("type")}
	switch {
	case f.Name == "":
		return invalid(v.faults, "caption", "caption cannot be blank.")
	case !slices.Contains([]string{"text", "number", "date", "datetime", "boolean"}, f.Type):
		return invalid(v.faults, "type", "type is invalid.")
	}
	s.state.Change(func(st *state) {
		a := st.account(v.who.Label)
		if have := a.field(0, f.Name); have != nil {
			f = *have
			return
		}
		f.ID = 8801201 + len(a.Fields)
		a.Fields = append(a.Fields, f)
	})
	return success(map[string]any{"field": describe(f)})
}

func (s *Simulator) getFlows(visit) result {
	return success(map[string]any{
		"flows": []any{
			map[string]any{"ns": FlowReply, "name": "Respuesta de Strato", "folder_id": 0},
			map[string]any{"ns": FlowTemplate, "name": "Recordatorio de visita (plantilla)", "folder_id": 0},
		},
		"folders": []any{},
	})
}
