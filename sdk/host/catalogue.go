package host

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stratohub/strato/sdk/internal/handshake"
	"github.com/stratohub/strato/sdk/settings"
)

const (
	manifestFile  = "plugin.json"
	maxManifest   = 1 << 20
	maxCatalogue  = 256
	executableBit = 0o111
)

// Release is a plugin as it lies on disk.
type Release struct {
	// Name is the folder's, and the plugin's id.
	Name string
	// Manifest is nil if it could not be read.
	Manifest *settings.Manifest
	// ManifestJSON is the manifest as it is on disk, ManifestSHA256 its digest in hex.
	ManifestJSON   []byte
	ManifestSHA256 string
	// Pinned is true if a [Pin] chose it; it is in the store then.
	Pinned bool
	// Path is the binary's, SHA256 its digest in hex.
	Path, SHA256 string
	// Problem says why the plugin cannot be used, in words for the operator;
	// empty if it can.
	Problem string
}

// same reports whether two looks found the same files.
func (r Release) same(other Release) bool {
	return r.SHA256 == other.SHA256 && r.ManifestSHA256 == other.ManifestSHA256
}

// Scan reads the folder anew. It starts nothing and stops nothing: running
// processes stay as they are until [Host.Replace]. A plugin that cannot be used
// is listed with its problem and does not keep others from working. An error
// means that the folder itself cannot be read; a missing one is empty.
func (h *Host) Scan() error {
	names, err := folders(h.config.Dir)
	if err != nil {
		return fmt.Errorf("read the plugin folder: %w", err)
	}
	pins := h.pins()
	for name := range pins {
		names[name] = true
	}
	if len(names) > maxCatalogue {
		h.log.Warn("too many plugins; the rest is left out", "limit", maxCatalogue)
	}
	var found []Release
	for _, name := range slices.Sorted(maps.Keys(names))[:min(len(names), maxCatalogue)] {
		if pin := pins[name].SHA256; pin != "" {
			found = append(found, ReadRelease(h.config.Store, name, pin))
		} else {
			found = append(found, h.read(name))
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.catalogue = found
	for _, r := range found {
		s := h.supervisors[r.Name]
		switch {
		case r.Problem != "":
			h.log.Warn("a plugin cannot be used", "plugin", r.Name, "problem", r.Problem)
			if s != nil {
				s.rescanned(r)
			}
		case s == nil:
			h.supervisors[r.Name] = newSupervisor(h, r)
		default:
			s.rescanned(r)
		}
	}
	return nil
}

// folders of a folder, by name. A folder that is not there has none.
func folders(path string) (map[string]bool, error) {
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	out := map[string]bool{}
	for _, e := range entries {
		info, err := os.Stat(filepath.Join(path, e.Name()))
		if err == nil && info.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			out[e.Name()] = true
		}
	}
	return out, nil
}

// Catalogue lists what the last Scan found, by name.
func (h *Host) Catalogue() []Release {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Release(nil), h.catalogue...)
}

// read looks at one plugin's folder.
func (h *Host) read(name string) Release {
	r := Look(filepath.Join(h.config.Dir, name), name)
	if r.Problem == "" {
		r.Problem = h.checkPin(name, r.SHA256)
	}
	return r
}

// Look reads the release of the named plugin in a folder that holds plugin.json
// and the binary, and starts nothing.
func Look(folder, plugin string) Release {
	r := Release{Name: plugin, Path: filepath.Join(folder, plugin)}
	r.Problem = func() string {
		if problem := r.readManifest(filepath.Join(folder, manifestFile)); problem != "" {
			return problem
		}
		f, problem := openBinary(r.Path)
		if problem != "" {
			return problem
		}
		defer func() { _ = f.Close() }()
		sum, err := digest(f)
		if err != nil {
			return "its binary cannot be read: " + plain(err)
		}
		r.SHA256 = sum
		return ""
	}()
	return r
}

func (r *Release) readManifest(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return "its " + manifestFile + " cannot be read: " + plain(err)
	}
	defer func() { _ = f.Close() }()
	document, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil || len(document) > maxManifest {
		return "its " + manifestFile + " cannot be read or is larger than 1 MiB"
	}
	sum := sha256.Sum256(document)
	r.ManifestJSON, r.ManifestSHA256 = bytes.Clone(document), hex.EncodeToString(sum[:])
	m, err := settings.Parse(document)
	if err != nil {
		return "its " + manifestFile + " is not valid: " + strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	r.Manifest = m
	if m.ID != r.Name {
		return fmt.Sprintf("its folder is %s, but its manifest's id is %s", r.Name, m.ID)
	}
	if m.Protocol != handshake.Version {
		return fmt.Sprintf("it speaks protocol %d, this core speaks %d; install a version built for it", m.Protocol, handshake.Version)
	}
	return ""
}

// openBinary opens what is to be run, or says why it cannot be.
func openBinary(path string) (*os.File, string) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "its binary is missing: " + path
	}
	if err != nil {
		return nil, "its binary cannot be read: " + plain(err)
	}
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&executableBit != 0 {
		return f, ""
	}
	_ = f.Close()
	return nil, "its binary is not an executable file: " + path
}

func digest(f io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// checkPin compares a digest with the operator's.
func (h *Host) checkPin(name, sum string) string {
	if h.config.Pin == nil {
		return ""
	}
	if pin := h.config.Pin(name); pin != "" && !strings.EqualFold(pin, sum) {
		return fmt.Sprintf("its binary's checksum is %s, not the pinned %s", short(sum), short(pin))
	}
	return ""
}

func short(sum string) string {
	if len(sum) > 12 {
		return sum[:12] + "…"
	}
	return sum
}

// plain is an error without the path that its reader knows already.
func plain(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}
