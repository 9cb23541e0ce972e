package plugintest

import (
	"errors"
	"fmt"
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
	schema   *settings.Schema
	binary   string
}

func open(c Config) (*subject, error) {
	folder, err := filepath.Abs(c.Folder)
	if err != nil {
		return nil, err
	}
	s := &subject{Config: c, binary: filepath.Join(folder, filepath.Base(folder))}
	s.Folder = folder
	document, err := os.ReadFile(filepath.Join(folder, "plugin.json"))
	if err != nil {
		return nil, fmt.Errorf("read the manifest (build the plugin first): %w", err)
	}
	if s.manifest, err = settings.Parse(document); err != nil {
		return nil, err
	}
	if _, err := os.Stat(s.binary); err != nil {
		return nil, fmt.Errorf("find the program (build the plugin first): %w", err)
	}
	if s.schema, err = s.manifest.Schema(); err != nil {
		return nil, err
	}
	if s.Say == nil {
		s.Say = func(account, text string) any { return map[string]string{"to": account, "text": text} }
	}
	s.Contents = maps.Clone(c.Contents)
	if s.Contents == nil {
		s.Contents = map[string]sdk.Content{}
	}
	if s.Contents["text"] == nil {
		s.Contents["text"] = sdk.Text{Body: "Hola, ¿cómo estás? 👋"}
	}
	return s, nil
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
	if !s.manifest.Simulator {
		return errors.New("the manifest says that there is no simulator, without which nothing else can be checked")
	}
	return nil
}
