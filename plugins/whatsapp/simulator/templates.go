package simulator

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// templates are those of every agency: one of each standing and format.
func templates() []map[string]any {
	text := func(kind, words string) map[string]any { return map[string]any{"type": kind, "text": words} }
	reply := func(words string) map[string]any { return map[string]any{"type": "QUICK_REPLY", "text": words} }
	return []map[string]any{
		{
			"id": "1689556908129832", "name": "recordatorio_visita", "language": "es_AR", "status": "APPROVED", "category": "UTILITY",
			"parameter_format": "NAMED", "quality_score": map[string]any{"score": "GREEN", "date": 1794800000},
			"components": []map[string]any{
				{"type": "HEADER", "format": "IMAGE", "example": map[string]any{"header_handle": []string{"https://scontent.whatsapp.net/v/t61/frente.jpg"}}},
				text("BODY", "Hola {{nombre}}, te esperamos en {{direccion}} el {{fecha}}. ¿Confirmás la visita?"),
				text("FOOTER", "Strato Propiedades"),
				{"type": "BUTTONS", "buttons": []map[string]any{
					reply("Confirmo"), reply("Reprogramar"),
					{"type": "URL", "text": "Ver ficha", "url": "https://strato.example/p/{{1}}", "example": []string{"https://strato.example/p/8812"}},
				}},
			},
		},
		{
			"id": "1689556908129831", "name": "retomar_contacto", "language": "es_AR", "status": "APPROVED", "category": "MARKETING",
			"parameter_format": "POSITIONAL",
			"components":       []map[string]any{text("BODY", "Hola {{1}}, ¿seguís buscando propiedad en {{2}}? Tenemos novedades.")},
		},
		{
			"id": "1689556908129833", "name": "encuesta_satisfaccion", "language": "es_AR", "status": "PAUSED", "category": "MARKETING",
			"previous_category": "UTILITY", "parameter_format": "POSITIONAL", "quality_score": map[string]any{"score": "RED", "date": 1795100000},
			"components": []map[string]any{
				text("BODY", "Hola {{1}}, ¿cómo fue tu experiencia con {{2}}?"),
				{"type": "BUTTONS", "buttons": []map[string]any{reply("Excelente"), reply("Regular"), reply("Mala")}},
			},
		},
		{
			"id": "1689556908129834", "name": "bienvenida_propietario", "language": "es", "status": "REJECTED", "category": "UTILITY",
			"parameter_format": "POSITIONAL", "rejected_reason": "INVALID_FORMAT",
			"components": []map[string]any{
				{"type": "HEADER", "format": "TEXT", "text": "Bienvenido"},
				text("BODY", "Gracias por confiarnos tu propiedad. Un asesor te va a escribir hoy."),
			},
		},
	}
}

func filterTemplates(q url.Values) []map[string]any {
	var out []map[string]any
	for _, t := range templates() {
		keep := true
		for _, key := range []string{"name", "status", "category", "language"} {
			keep = keep && (q.Get(key) == "" || strings.EqualFold(q.Get(key), t[key].(string)))
		}
		if keep {
			out = append(out, t)
		}
	}
	return out
}

var variable = regexp.MustCompile(`\{\{[^}]+\}\}`)

// checkTemplate judges a template message against the template itself. It
// returns the template and the choices its buttons give.
func checkTemplate(t map[string]any) (map[string]any, []choice, *refusal) {
	name, _ := t["name"].(string)
	language := text(t, "language", "code")
	if name == "" || language == "" {
		return nil, nil, refuse(131008, "The parameters template['name'] and template['language']['code'] are required.")
	}
	var found map[string]any
	for _, one := range templates() {
		if one["name"] == name && one["language"] == language {
			found = one
		}
	}
	switch {
	case found == nil || found["status"] == "REJECTED":
		return nil, nil, refuse(132001, fmt.Sprintf("template name (%s) does not exist in %s", name, language))
	case found["status"] == "PAUSED":
		return nil, nil, refuse(132015, "The template is paused for its low quality")
	}
	given := givenParams(t)
	var choices []choice
	for _, c := range found["components"].([]map[string]any) {
		switch c["type"] {
		case "HEADER":
			want := 0
			if format := c["format"]; format != "TEXT" {
				want = 1
			}
			if r := sameCount("header", given["header"], want); r != nil {
				return nil, nil, r
			}
		case "BODY":
			want := len(variable.FindAllString(c["text"].(string), -1))
			if r := sameCount("body", given["body"], want); r != nil {
				return nil, nil, r
			}
			if r := checkParams(given["body"], found["parameter_format"] == "NAMED"); r != nil {
				return nil, nil, r
			}
		case "BUTTONS":
			for i, b := range c["buttons"].([]map[string]any) {
				params := given["button"+strconv.Itoa(i)]
				if address, ok := b["url"].(string); ok && variable.MatchString(address) && len(params) != 1 {
					return nil, nil, refuse(131008, fmt.Sprintf("Required parameter is missing: buttons: Button at index %d of type Url requires a parameter", i))
				}
				if b["type"] == "QUICK_REPLY" {
					one := choice{Kind: "template_button", ID: b["text"].(string), Title: b["text"].(string)}
					if len(params) == 1 {
						if payload, ok := params[0]["payload"].(string); ok {
							one.ID = payload
						}
					}
					choices = append(choices, one)
				}
			}
		}
	}
	return found, choices, nil
}

func givenParams(t map[string]any) map[string][]map[string]any {
	out := map[string][]map[string]any{}
	components, _ := t["components"].([]any)
	for _, raw := range components {
		c, _ := raw.(map[string]any)
		key := strings.ToLower(text(c, "type"))
		if key == "button" {
			key += fmt.Sprint(c["index"])
		}
		list, _ := c["parameters"].([]any)
		for _, p := range list {
			if one, ok := p.(map[string]any); ok {
				out[key] = append(out[key], one)
			}
		}
	}
	return out
}

func sameCount(part string, given []map[string]any, want int) *refusal {
	if len(given) == want {
		return nil
	}
	return refuse(132000, fmt.Sprintf("%s: number of localizable_params (%d) does not match the expected number of params (%d)",
		part, len(given), want))
}

func checkParams(params []map[string]any, named bool) *refusal {
	for _, p := range params {
		if (text(p, "parameter_name") != "") != named {
			return refuse(132012, "body: parameter_name must be given for named templates, and only for them")
		}
		if words := text(p, "text"); strings.ContainsAny(words, "\n\t") || strings.Contains(words, "     ") {
			return refuse(132018, "Param text cannot have new-line/tab characters or more than 4 consecutive spaces")
		}
	}
	return nil
}

// text reads a string at a path of keys; empty if there is none.
func text(o map[string]any, path ...string) string {
	for i, key := range path {
		if i == len(path)-1 {
			s, _ := o[key].(string)
			return s
		}
		o, _ = o[key].(map[string]any)
	}
	return ""
}
