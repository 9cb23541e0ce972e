package plugintest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/settings"
)

// subject is the plugin under test.
type subject struct {
	Config
	manifest *settings.Manifest
	document []byte // the manifest's
	schema   *settings.Schema
	binary   string // empty in process
	sum      string // its digest
}

func open(c Config) (*subject, error) {
	s := &subject{Config: c}
	var err error
	if c.Plugin == nil {
		err = s.openFolder()
	} else {
		err = s.openPlugin()
	}
	if err != nil {
		return nil, err
	}
	if s.manifest, err = settings.Parse(s.document); err != nil {
		return nil, err
	}
	if s.schema, err = s.manifest.Schema(); err != nil {
		return nil, err
	}
	if s.Say == nil {
		s.Say = func(account, text string) any { return map[string]string{"to": account, "text": text} }
	}
	if s.Speech.Text == "" {
		s.Speech.Text = "Hola, Ana. Te espero mañana a las seis en la puerta del edificio."
	}
	if s.Speech.Format == "" {
		s.Speech.Format = "voice_note"
	}
	s.Contents = maps.Clone(c.Contents)
	if s.Contents == nil {
		s.Contents = map[string]sdk.Content{}
	}
	for kind, example := range examples {
		if s.Contents[kind] == nil {
			s.Contents[kind] = example
		}
	}
	return s, nil
}

func (s *subject) openFolder() error {
	folder, err := filepath.Abs(s.Folder)
	if err != nil {
		return err
	}
	s.Folder, s.binary = folder, filepath.Join(folder, filepath.Base(folder))
	if s.document, err = os.ReadFile(filepath.Join(folder, "plugin.json")); err != nil {
		return fmt.Errorf("read the manifest (build the plugin first): %w", err)
	}
	program, err := os.ReadFile(s.binary)
	if err != nil {
		return fmt.Errorf("find the program (build the plugin first): %w", err)
	}
	sum := sha256.Sum256(program)
	s.sum = hex.EncodeToString(sum[:])
	return nil
}

// report is one without results.
func (s *subject) report() Report {
	return Report{Plugin: s.manifest.ID, Version: s.manifest.Version, Capabilities: s.manifest.Capabilities, SHA256: s.sum}
}

func (s *subject) openPlugin() error {
	if s.Simulator == nil {
		return errors.New("a Plugin in this process needs a Simulator")
	}
	l, err := s.Plugin.Listen(io.Discard)
	if err != nil {
		return err
	}
	s.document = l.Manifest
	l.Close()
	return nil
}

// examples of what can be sent by every provider that can send it. A template is
// not among them: each account has its own.
var examples = map[string]sdk.Content{
	"text": sdk.Text{Body: "Hola, ¿cómo estás? 👋"},
	"media": sdk.Media{
		Kind: sdk.MediaImage, Ref: sdk.MediaRef{URL: "https://example.com/frente.jpg", MIMEType: "image/jpeg"}, Caption: "El frente",
	},
	"interactive": sdk.Interactive{
		Body: "¿Cuándo lo visitás?", Buttons: []sdk.Button{{ID: "hoy", Title: "Hoy"}, {ID: "sabado", Title: "El sábado"}}, Fallback: "¿Hoy o el sábado?",
	},
	"cards": sdk.Cards{
		Cards:    []sdk.Card{{Title: "Palermo", Subtitle: "3 ambientes", Image: &sdk.MediaRef{URL: "https://example.com/frente.jpg"}}},
		Fallback: "Palermo, 3 ambientes",
	},
	"location": sdk.Location{Latitude: -34.5889, Longitude: -58.4306, Name: "Palermo"},
	"reaction": sdk.Reaction{Emoji: "👍"},
	"contacts": sdk.ContactCards{Cards: []sdk.ContactCard{{Name: "Ana Paz", Phones: []string{"+5491150550100"}}}},
}

func manifestContents(s *subject) error {
	var errs []error
	if s.manifest.Has(settings.Channel) && len(s.manifest.ContentKinds) == 0 {
		errs = append(errs, errors.New("a channel must name in content_kinds what can be sent"))
	}
	for _, kind := range s.manifest.ContentKinds {
		if s.Contents[kind] == nil {
			errs = append(errs, fmt.Errorf("content_kinds has %q, of which Contents has no example", kind))
		}
	}
	for _, key := range s.manifest.Unknown {
		errs = append(errs, fmt.Errorf("the manifest's key %q is not known", key))
	}
	for lang := range s.manifest.Description {
		if s.manifest.Description[lang] == "" {
			errs = append(errs, fmt.Errorf("the description in %s is empty", lang))
		}
	}
	if s.manifest.Description["es"] == "" {
		errs = append(errs, errors.New("there is no description in es, the language of most agencies"))
	}
	return errors.Join(errs...)
}

func manifestSimulator(s *subject) error {
	if !s.manifest.Simulator && s.Simulator == nil {
		return errors.New("the manifest says that there is no simulator, without which nothing else can be checked")
	}
	return nil
}
