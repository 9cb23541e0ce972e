package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
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
	s.Contents = maps.Clone(c.Contents)
	if s.Contents == nil {
		s.Contents = map[string]sdk.Content{}
	}
	if s.Contents["text"] == nil {
		s.Contents["text"] = sdk.Text{Body: "Hola, ¿cómo estás? 👋"}
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
	if _, err := os.Stat(s.binary); err != nil {
		return fmt.Errorf("find the program (build the plugin first): %w", err)
	}
	return nil
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

// build makes a folder like those of bin/plugins below dir, of the plugin whose
// source is in a folder.
func build(ctx context.Context, source, dir string) (string, error) {
	document, err := os.ReadFile(filepath.Join(source, "plugin.json"))
	if err != nil {
		return "", fmt.Errorf("read the manifest: %w", err)
	}
	var m struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(document, &m); err != nil || m.ID == "" || filepath.Base(m.ID) != m.ID {
		return "", fmt.Errorf("plugin.json is no manifest: %w", err)
	}
	folder := filepath.Join(dir, m.ID)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	binary, err := filepath.Abs(filepath.Join(folder, m.ID))
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, ".")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the plugin: %w\n%s", err, out)
	}
	// The program knows the whole manifest; the file may leave the schema to a struct.
	cmd = exec.CommandContext(ctx, binary, "manifest", filepath.Join(folder, "plugin.json"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("write the manifest: %w\n%s", err, out)
	}
	return folder, nil
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
