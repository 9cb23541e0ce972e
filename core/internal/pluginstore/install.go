package pluginstore

import (
	"crypto/ed25519"
	"debug/buildinfo"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/stratohub/strato/sdk/host"
)

// Trust says whose releases are taken.
type Trust struct {
	// Keys are the trusted public keys, by name.
	Keys map[string]ed25519.PublicKey
	// Unsigned takes what nobody signed. A signature that is there must still be
	// good.
	Unsigned bool
}

// Installed is a release in a store.
type Installed struct {
	host.Release
	// Signer is the name of the key; empty if nobody signed it.
	Signer string
	// Platform is what the binary was built for, such as linux/amd64; empty if it
	// does not tell.
	Platform string
	// Already is true if it was in the store before.
	Already bool
}

// Install verifies a release, an archive or a folder, and puts it into the
// store under the digest of its binary. What is in the store is never
// overwritten; installing it again does nothing.
func Install(store, from string, trust Trust) (Installed, error) {
	if err := os.MkdirAll(store, 0o755); err != nil { //nolint:gosec // plugins are no secret, and may run as another user
		return Installed{}, fmt.Errorf("make the plugin store: %w", err)
	}
	work, err := os.MkdirTemp(store, ".incoming-")
	if err != nil {
		return Installed{}, fmt.Errorf("write to the plugin store: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := os.Chmod(work, 0o755); err != nil { //nolint:gosec // as above
		return Installed{}, fmt.Errorf("write to the plugin store: %w", err)
	}
	if err := unpack(from, work); err != nil {
		return Installed{}, fmt.Errorf("take the plugin from %s: %w", from, err)
	}
	out, err := verify(work, trust)
	if err != nil {
		return Installed{}, fmt.Errorf("%s was not installed: %w", from, err)
	}
	place := filepath.Join(store, out.Name, out.SHA256)
	if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil { //nolint:gosec // as above
		return Installed{}, fmt.Errorf("write to the plugin store: %w", err)
	}
	if _, err := os.Stat(place); errors.Is(err, fs.ErrNotExist) {
		err = os.Rename(work, place)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return Installed{}, fmt.Errorf("write to the plugin store: %w", err)
		}
	} else {
		out.Already = true
	}
	out.Release = host.ReadRelease(store, out.Name, out.SHA256)
	if out.Problem != "" {
		return Installed{}, fmt.Errorf("%s is damaged: %s. Remove the folder and install it again", place, out.Problem)
	}
	return out, nil
}

// verify checks an unpacked release: digests, signature, manifest, platform.
func verify(folder string, trust Trust) (Installed, error) {
	r, err := look(folder)
	if err != nil {
		return Installed{}, err
	}
	out := Installed{Release: r}
	if out.Signer, err = signer(folder, r, trust); err != nil {
		return out, err
	}
	if info, err := buildinfo.ReadFile(r.Path); err == nil {
		system, arch := "", ""
		for _, s := range info.Settings {
			switch s.Key {
			case "GOOS":
				system = s.Value
			case "GOARCH":
				arch = s.Value
			}
		}
		if system != "" && arch != "" {
			out.Platform = system + "/" + arch
		}
	}
	if here := runtime.GOOS + "/" + runtime.GOARCH; out.Platform != "" && out.Platform != here {
		return out, fmt.Errorf("it was built for %s, this machine is %s", out.Platform, here)
	}
	return out, nil
}

// signer checks the digests and who signed them. It returns the key's name,
// empty for a release without signature where that is allowed.
func signer(folder string, r host.Release, trust Trust) (string, error) {
	sums, err := os.ReadFile(filepath.Join(folder, sumsFile))
	if errors.Is(err, fs.ErrNotExist) {
		if trust.Unsigned {
			return "", nil
		}
		return "", errUnsigned
	}
	if err != nil {
		return "", err
	}
	binary, err := os.ReadFile(r.Path)
	if err != nil {
		return "", err
	}
	contents := map[string][]byte{manifestFile: r.ManifestJSON, r.Name: binary}
	report, err := os.ReadFile(filepath.Join(folder, reportFile))
	switch {
	case err == nil:
		contents[reportFile] = report
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	if string(sums) != string(sumsOf(contents)) {
		return "", errors.New("its files are not those of its " + sumsFile)
	}
	text, err := os.ReadFile(filepath.Join(folder, signatureFile))
	if errors.Is(err, fs.ErrNotExist) {
		if trust.Unsigned {
			return "", nil
		}
		return "", errUnsigned
	}
	if err != nil {
		return "", err
	}
	signature, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return "", errors.New("its signature cannot be read")
	}
	for name, key := range trust.Keys {
		if ed25519.Verify(key, sums, signature) {
			return name, nil
		}
	}
	return "", errors.New("its signature is of none of the keys in STRATO_PLUGIN_KEYS")
}

var errUnsigned = errors.New("nobody signed it; pack it with a key of STRATO_PLUGIN_KEYS, or set STRATO_PLUGIN_UNSIGNED=true on a development machine")
