package config

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/stratohub/strato/core/internal/secret"
)

// Ring returns the master keys: those configured, else those in the file keys
// under Data, which is made when missing.
func (c Config) Ring() (*secret.Ring, error) {
	if !c.SecretKeys.IsZero() {
		return secret.ParseRing(c.SecretKeys.Reveal())
	}
	return secret.LoadRing(c.keyFile())
}

// HasKeys reports whether there are keys already: [Config.Ring] would make none.
func (c Config) HasKeys() bool {
	_, err := os.Stat(c.keyFile())
	return !c.SecretKeys.IsZero() || !errors.Is(err, os.ErrNotExist)
}

func (c Config) keyFile() string { return filepath.Join(c.Data, "keys") }

// Node returns this node's name: the one configured, else the one in the file
// node-id under Data, which is made when missing.
func (c Config) Node() (string, error) {
	if c.NodeID != "" {
		return c.NodeID, nil
	}
	path := filepath.Join(c.Data, "node-id")
	text, err := os.ReadFile(path)
	if err == nil {
		if name := strings.TrimSpace(string(text)); nodeID.MatchString(name) {
			return name, nil
		}
		return "", fmt.Errorf("%s holds no node name; remove it or set STRATO_NODE_ID", path)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the node's name: %w", err)
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return "", fmt.Errorf("make the data folder: %w", err)
	}
	name := uuid.NewString()
	if err := os.WriteFile(path, []byte(name+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the node's name: %w", err)
	}
	return name, nil
}

// Plugins returns the folder of plugins.
func (c Config) Plugins() (string, error) {
	if c.PluginDir != "" {
		return c.PluginDir, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the program's folder; set STRATO_PLUGIN_DIR: %w", err)
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	return filepath.Join(filepath.Dir(self), "plugins"), nil
}

// Store returns the folder of installed plugin releases.
func (c Config) Store() (string, error) {
	folder := c.PluginStore
	if folder == "" {
		folder = filepath.Join(c.Data, "plugin-store")
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", fmt.Errorf("find the plugin store; set STRATO_PLUGIN_STORE: %w", err)
	}
	return folder, nil
}

// PluginAccount returns the numbers of the user that plugins run as and of its
// group; zeros for Strato's own.
func (c Config) PluginAccount() (uid, gid int, err error) {
	if c.PluginUser == "" {
		return 0, 0, nil
	}
	u, err := user.Lookup(c.PluginUser)
	if err != nil {
		if u, err = user.LookupId(c.PluginUser); err != nil {
			return 0, 0, fmt.Errorf("STRATO_PLUGIN_USER: there is no user %q", c.PluginUser)
		}
	}
	uid, err = strconv.Atoi(u.Uid)
	if err != nil {
		return 0, 0, fmt.Errorf("STRATO_PLUGIN_USER: user %q has no number", c.PluginUser)
	}
	gid, err = strconv.Atoi(u.Gid)
	if err != nil {
		return 0, 0, fmt.Errorf("STRATO_PLUGIN_USER: the group of user %q has no number", c.PluginUser)
	}
	return uid, gid, nil
}

// TrustedKeys returns the Ed25519 public keys of STRATO_PLUGIN_KEYS, by name.
func (c Config) TrustedKeys() (map[string]ed25519.PublicKey, error) {
	keys := map[string]ed25519.PublicKey{}
	for word := range strings.SplitSeq(c.PluginKeys, ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		name, text, _ := strings.Cut(word, ":")
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(raw) != ed25519.PublicKeySize || name == "" {
			return nil, fmt.Errorf("STRATO_PLUGIN_KEYS: %q is not name:base64 of an Ed25519 public key of 32 bytes", word)
		}
		if keys[name] != nil {
			return nil, fmt.Errorf("STRATO_PLUGIN_KEYS: there are two keys named %q", name)
		}
		keys[name] = raw
	}
	return keys, nil
}

// OperatorSettings returns what the operator set for each plugin, possibly
// nothing. The values may be secret.
func (c Config) OperatorSettings() (map[string]map[string]secret.String, error) {
	if c.PluginSettings == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.PluginSettings)
	if err != nil {
		return nil, fmt.Errorf("STRATO_PLUGIN_SETTINGS: %w", err)
	}
	var settings map[string]map[string]secret.String
	if err := json.Unmarshal(text, &settings); err != nil {
		return nil, fmt.Errorf("STRATO_PLUGIN_SETTINGS: %s must hold {\"plugin\":{\"key\":\"value\"}}: %w", c.PluginSettings, err)
	}
	return settings, nil
}
