package plugintest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// EnvFolder names a folder with a built plugin that [RunBinary] is to try in
// place of building one. It writes its report into it, as [ReportFile].
const EnvFolder = "STRATO_PLUGIN_FOLDER"

// ReportFile is the name of a report beside the binary that it is of.
const ReportFile = "conformance.json"

// Build builds the plugin whose source is in a folder into DIR/ID, laid out as
// in bin/plugins, and returns that folder. The same source gives the same bytes.
func Build(ctx context.Context, source, dir string) (string, error) {
	document, err := os.ReadFile(filepath.Join(source, "plugin.json"))
	if err != nil {
		return "", fmt.Errorf("read the manifest: %w", err)
	}
	var m struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(document, &m); err != nil {
		return "", fmt.Errorf("read the manifest: %w", err)
	}
	if m.ID == "" || filepath.Base(m.ID) != m.ID {
		return "", fmt.Errorf("%s has no id", filepath.Join(source, "plugin.json"))
	}
	folder, err := filepath.Abs(filepath.Join(dir, m.ID))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return "", err
	}
	binary, manifest := filepath.Join(folder, m.ID), filepath.Join(folder, "plugin.json")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", binary, ".")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the plugin: %w\n%s", err, out)
	}
	// The program knows the whole manifest; the file may leave the schema to a struct.
	if out, err := exec.CommandContext(ctx, binary, "manifest", manifest).CombinedOutput(); err != nil {
		return "", fmt.Errorf("write the manifest: %w\n%s", err, out)
	}
	return folder, nil
}

// Save writes the report beside the binary that it is of.
func (r Report) Save(folder string) error {
	document, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, ReportFile), append(document, '\n'), 0o600)
}
