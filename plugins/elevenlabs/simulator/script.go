package simulator

import "strings"

// Script is what a person does on the telephone.
type Script string

// The scripts. The last four digits of the number called choose one: 0001 busy,
// 0002 no answer, 0003 unknown, 0004 voicemail, 0005 silence, 0006 another
// appointment, 0007 failed, and 0010 to 0019 a survey's score of 0 to 9. Everybody
// else is a lead who answers.
const (
	ScriptBusy       Script = "busy"
	ScriptNoAnswer   Script = "no-answer"
	ScriptUnknown    Script = "unknown"
	ScriptVoicemail  Script = "voicemail"
	ScriptSilence    Script = "silence"
	ScriptReschedule Script = "reschedule"
	ScriptFailed     Script = "failed"
	ScriptSurvey     Script = "survey"
	ScriptLead       Script = "lead"
	// ScriptCaller is of a person who calls the agency.
	ScriptCaller Script = "caller"
)

func scriptOf(number string) Script {
	d := digitsOf(number)
	tail := d[max(0, len(d)-4):]
	if len(tail) == 4 && strings.HasPrefix(tail, "001") {
		return ScriptSurvey
	}
	script, ok := map[string]Script{
		"0001": ScriptBusy, "0002": ScriptNoAnswer, "0003": ScriptUnknown, "0004": ScriptVoicemail,
		"0005": ScriptSilence, "0006": ScriptReschedule, "0007": ScriptFailed,
	}[tail]
	if !ok {
		return ScriptLead
	}
	return script
}

// connects reports whether anybody, or a machine, takes the call.
func (s Script) connects() bool {
	return s != ScriptBusy && s != ScriptNoAnswer && s != ScriptUnknown
}

// spokenLine is one turn of a conversation.
type spokenLine struct{ role, text string }

// found is an answer that the agent finds, with its type.
type found struct {
	kind  string
	value any
	// words is the value as a model might put it, where it has a better type.
	words any
}

// play is what is said, and what the agent makes of it.
type play struct {
	lines   []spokenLine
	answers map[string]found
	success string
	summary string
	tool    string
	reason  string
}

// playOf is the conversation that a script leads to.
func (c *phoneCall) playOf() play {
	name := c.Name
	if v, ok := c.Variables["nombre"].(string); ok {
		name = v
	}
	greeting := strings.TrimSpace("Hola "+name) + ", te llamo de la inmobiliaria. ¿Tenés un minuto?"
	p := play{success: "success", reason: "end_call tool was called.", tool: "end_call", lines: []spokenLine{{"agent", greeting}}}
	say := func(user, agent string) {
		p.lines = append(p.lines, spokenLine{"user", user}, spokenLine{"agent", agent})
	}
	switch c.Script {
	case ScriptVoicemail:
		p.tool, p.success, p.summary = "voicemail_detection", "failure", "Atendió un contestador."
		p.lines = []spokenLine{{"user", "Deje su mensaje después de la señal."}, {"agent", greeting}}
	case ScriptSilence:
		p.lines = append(p.lines, spokenLine{"user", "..."}, spokenLine{"agent", "¿Hola?"}, spokenLine{"user", "..."})
		p.success, p.summary, p.reason, p.tool = "failure", "Nadie habló.", "Call ended by remote party", ""
	case ScriptReschedule:
		say("Ese día no puedo, ¿puede ser el viernes a las once?", "Perfecto, lo paso al viernes a las once.")
		p.summary = "Pidió pasar la visita al viernes a las once."
		p.answers = map[string]found{"decision": {"string", "reschedule", nil}, "fecha_pedida": {"string", "viernes a las once", nil}}
	case ScriptFailed:
		p = play{success: "unknown", reason: "Client disconnected: 1011"}
	case ScriptSurvey:
		d := digitsOf(c.Number)
		score := int(d[len(d)-1] - '0')
		say("Un "+string(d[len(d)-1])+".", "¡Gracias por tu tiempo!")
		p.summary = "Puntuó la visita."
		p.answers = map[string]found{"puntaje": {"integer", score, string(d[len(d)-1])}, "comentario": {"string", "Muy amable el asesor.", nil}}
	case ScriptCaller:
		p.lines = []spokenLine{{"agent", "Inmobiliaria, buen día. ¿En qué te ayudo?"}, {"user", c.Text}, {"agent", "Le aviso a un asesor. ¡Gracias!"}}
		p.summary = c.Text
		p.answers = map[string]found{"consulta": {"string", c.Text, nil}}
	case ScriptBusy, ScriptNoAnswer, ScriptUnknown:
		p = play{}
	case ScriptLead:
		say("Sí, dale.", "¿Buscás comprar o alquilar, y en qué zona?")
		say("Comprar, en Caballito, tres ambientes, hasta ciento cuarenta mil dólares.", "Perfecto. ¡Gracias!")
		p.summary = "Busca comprar un tres ambientes en Caballito por hasta USD 140.000."
		p.answers = map[string]found{
			"operacion": {"string", "compra", nil}, "zona": {"string", "Caballito", nil}, "ambientes": {"integer", 3, "3"},
			"presupuesto_usd": {"number", 140000, "140000"}, "necesita_credito": {"boolean", false, "no"}, "email": {"string", nil, nil},
		}
	}
	return p
}

// summary is one line about the call, for the person's telephone.
func (c *phoneCall) summary() string {
	switch c.Status {
	case "done", "processing":
		return c.playOf().summary
	}
	return ""
}
