package simulator

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// voice is somebody who can speak.
type voice struct{ ID, Name, Description, Accent, Gender string }

// voices are those of every account.
var voices = [...]voice{
	{"9rVxSofiaArDemo0000A", "Sofía (rioplatense)", "Cálida, ritmo medio.", "argentinian", "female"},
	{"9rVxBrunoArDemo0000B", "Bruno (rioplatense)", "Serena, ritmo lento.", "argentinian", "male"},
	{"9rVxPaulaTucDemo000C", "Paula (norteña)", "Alegre, ritmo rápido.", "argentinian", "female"},
}

// model makes speech. Limit is how many characters it takes.
type model struct {
	ID, Name, Group string
	Limit           int
	Factor          float64
}

var models = [...]model{
	{"eleven_multilingual_v2", "Eleven Multilingual v2", "standard", 10000, 1},
	{"eleven_v3", "Eleven v3", "standard", 5000, 1},
	{"eleven_flash_v2_5", "Eleven Flash v2.5", "turbo", 40000, 0.5},
	{"eleven_turbo_v2_5", "Eleven Turbo v2.5", "turbo", 40000, 0.5},
	{"eleven_flash_v2", "Eleven Flash v2", "turbo", 30000, 0.5},
}

// Defaults of the switches of that name.
const (
	defaultConcurrency = 5
	defaultQuota       = 100000
)

// concurrency counts an account's requests at once. The zero value is ready.
type concurrency struct {
	mu    sync.Mutex
	count map[string]int
}

// enter counts one more, unless there are limit already.
func (c *concurrency) enter(label string, limit int) (now int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil {
		c.count = map[string]int{}
	}
	if c.count[label] >= limit {
		return c.count[label], false
	}
	c.count[label]++
	return c.count[label], true
}

func (c *concurrency) leave(label string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count[label]--
}

// order is a request to speak.
type order struct {
	Text     *string        `json:"text"`
	Model    string         `json:"model_id"`
	Language string         `json:"language_code"`
	Settings map[string]any `json:"voice_settings"`
	Seed     *json.Number   `json:"seed"`
	Previous string         `json:"previous_text"`
	Next     string         `json:"next_text"`
}

// speak serves E1 and E2, which differ in how the audio comes.
func (s *Simulator) speak(v visit, id string, streamed bool) {
	f := s.faults.Load()
	raw, err := io.ReadAll(http.MaxBytesReader(v.w, v.r.Body, maxBody))
	var o order
	if err == nil {
		err = json.Unmarshal(raw, &o)
	}
	if err != nil {
		refuse("invalid_body").write(v.w, f)
		return
	}
	if o.Text == nil || *o.Text == "" {
		missing(v.w, "text")
		return
	}
	format := v.r.URL.Query().Get("output_format")
	if format == "" {
		format = "mp3_44100_128"
	}
	m, refused := s.accept(v, id, o, format, f)
	if refused != nil {
		refused.write(v.w, f)
		return
	}
	now, limit := 0, f.Concurrency
	if limit <= 0 {
		limit = defaultConcurrency
	}
	now, ok := s.busy.enter(v.who.Label, limit)
	if !ok {
		refuse("too_many_concurrent_requests").with("Too many concurrent requests. Your current subscription is associated with a maximum of %d concurrent requests.", limit).write(v.w, f)
		return
	}
	defer s.busy.leave(v.who.Label)
	cost, refused := s.charge(v, o, m, f)
	if refused != nil {
		refused.write(v.w, f)
		return
	}
	if s.silenced(v, f) {
		return
	}
	h := v.w.Header()
	h.Set("Content-Type", contentType(format))
	h.Set("Request-Id", newHex("")[:20])
	h.Set("History-Item-Id", newHex("")[:20])
	h.Set("Character-Cost", strconv.Itoa(cost))
	h.Set("Current-Concurrent-Requests", strconv.Itoa(now))
	h.Set("Maximum-Concurrent-Requests", strconv.Itoa(limit))
	h.Set("Tts-Latency-Ms", "5")
	h.Set("X-Region", "simulator")
	s.play(v, audio(format, *o.Text, f), streamed, f)
}

// accept makes sure that the order can be spoken.
func (s *Simulator) accept(v visit, id string, o order, format string, f Faults) (model, *refusal) {
	if refused := s.meddle(f); refused != nil {
		return model{}, refused
	}
	if !slices.ContainsFunc(voices[:], func(one voice) bool { return one.ID == id }) {
		return model{}, refuse("voice_not_found").with("A voice with voice_id %s was not found.", id)
	}
	if o.Model == "" {
		o.Model = models[0].ID
	}
	i := slices.IndexFunc(models[:], func(one model) bool { return one.ID == o.Model })
	if i < 0 {
		return model{}, refuse("invalid_model_id").with("A model with model ID %s does not exist.", o.Model)
	}
	m := models[i]
	if m.ID == "eleven_v3" {
		if f.V3Limit > 0 {
			m.Limit = f.V3Limit
		}
		if (o.Previous != "" || o.Next != "") && !f.V3Neighbours {
			return m, refuse("unsupported_model")
		}
	}
	if m.ID == models[0].ID && o.Language != "" {
		return m, refuse("invalid_language_code").with("The model %s does not support a language code.", m.ID)
	}
	if n := utf8.RuneCountInString(*o.Text); n > m.Limit {
		return m, refuse("max_character_limit_exceeded").with("Request's text has %d characters and exceeds the character limit of %d characters.", n, m.Limit)
	}
	if contentType(format) == "" {
		return m, refuse("invalid_output_format").with("The output format %s does not exist.", format)
	}
	return m, nil
}

// charge takes the characters off the account.
func (s *Simulator) charge(v visit, o order, m model, f Faults) (cost int, refused *refusal) {
	cost = int(float64(utf8.RuneCountInString(*o.Text))*m.Factor + 0.5)
	if f.HalfPrice {
		cost /= 2
	}
	quota := f.Quota
	if quota <= 0 {
		quota = defaultQuota
	}
	s.state.Change(func(st *state) {
		a := st.account(v.who.Label)
		if a.Characters+cost > quota {
			refused = refuse("quota_exceeded").with("This request exceeds your quota of %d. You have %d credits remaining, while %d credits are required for this request.",
				quota, max(quota-a.Characters, 0), cost)
			return
		}
		a.Characters += cost
	})
	return cost, refused
}

func audio(format, text string, f Faults) []byte {
	switch {
	case strings.HasPrefix(format, "opus_") && f.NotOgg:
		return bareOpus(text)
	case strings.HasPrefix(format, "opus_"):
		return oggOpus(text)
	case strings.HasPrefix(format, "mp3_"):
		return mp3(text)
	}
	return make([]byte, spoken(text)*320)
}

func contentType(format string) string {
	kind, _, _ := strings.Cut(format, "_")
	return map[string]string{
		"mp3": "audio/mpeg", "opus": "audio/ogg", "pcm": "audio/pcm", "wav": "audio/wav", "ulaw": "audio/basic", "alaw": "audio/basic",
	}[kind]
}

// chunk is how much of the audio comes at once.
const chunk = 2048

// play writes the audio, in pieces if it is streamed.
func (s *Simulator) play(v visit, sound []byte, streamed bool, f Faults) {
	if f.BreakStream {
		_, _ = v.w.Write(sound[:len(sound)/2])
		_ = http.NewResponseController(v.w).Flush()
		panic(http.ErrAbortHandler)
	}
	if !streamed {
		_, _ = v.w.Write(sound)
		return
	}
	for part := range slices.Chunk(sound, chunk) {
		if _, err := v.w.Write(part); err != nil {
			return // nobody listens any more
		}
		_ = http.NewResponseController(v.w).Flush()
		if f.ChunkPauseMS > 0 && !s.pause(v, time.Duration(f.ChunkPauseMS)*time.Millisecond) {
			return
		}
	}
}

// pause waits, and reports whether anybody still listens.
func (s *Simulator) pause(v visit, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-v.r.Context().Done():
	case <-s.closing:
	}
	return false
}
