// Package pluginstore packs releases of plugins into signed archives, and puts
// them into a node's store, where each lies under the digest of its binary and
// is never changed.
package pluginstore

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk/host"
)

// The files of a release besides the binary, which bears the plugin's name.
const (
	manifestFile  = "plugin.json"
	sumsFile      = "SHA256SUMS"
	signatureFile = "SHA256SUMS.sig"
	// reportFile is what the conformance kit wrote of this very binary.
	reportFile = "conformance.json"
)

// maxFile bounds a file of a release.
const maxFile = 512 << 20

// NewKey writes a private Ed25519 key to a new file, in PEM, and returns the
// public key in base64.
func NewKey(path string) (string, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("make the key file: %w", err)
	}
	err = pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: raw})
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("write the key file: %w", err)
	}
	return base64.StdEncoding.EncodeToString(public), nil
}

// ReadKey reads a private Ed25519 key in PEM, as NewKey and OpenSSL write it.
func ReadKey(path string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the key file: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key in PEM", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := key.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s holds no private Ed25519 key", path)
	}
	return private, nil
}

// Pack writes the release in a folder as an archive: the manifest, the binary,
// the conformance kit's report of it if there is one, their digests, and the
// digests' signature. A nil key signs nothing.
func Pack(folder string, key ed25519.PrivateKey, to io.Writer) (host.Release, error) {
	r, err := look(folder)
	if err != nil {
		return r, err
	}
	binary, err := os.ReadFile(r.Path)
	if err != nil {
		return r, err
	}
	contents := map[string][]byte{manifestFile: r.ManifestJSON, r.Name: binary}
	report, err := reportOf(folder, r)
	if err != nil {
		return r, err
	}
	if report != nil {
		contents[reportFile] = report
	}
	sums := sumsOf(contents)
	type file struct {
		name string
		mode int64
		data []byte
	}
	files := []file{{manifestFile, 0o444, r.ManifestJSON}, {r.Name, 0o555, binary}, {sumsFile, 0o444, sums}}
	if report != nil {
		files = append(files, file{reportFile, 0o444, report})
	}
	if key != nil {
		signature := base64.StdEncoding.EncodeToString(ed25519.Sign(key, sums)) + "\n"
		files = append(files, file{signatureFile, 0o444, []byte(signature)})
	}
	zip := gzip.NewWriter(to)
	out := tar.NewWriter(zip)
	for _, f := range files {
		// No times and owners: the same release packs into the same bytes.
		h := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if err := out.WriteHeader(h); err != nil {
			return r, fmt.Errorf("pack %s: %w", f.name, err)
		}
		if _, err := out.Write(f.data); err != nil {
			return r, fmt.Errorf("pack %s: %w", f.name, err)
		}
	}
	if err := errors.Join(out.Close(), zip.Close()); err != nil {
		return r, fmt.Errorf("pack plugin %s: %w", r.Name, err)
	}
	return r, nil
}

// reportOf reads the kit's report of a release, nil if there is none or it is of
// another binary.
func reportOf(folder string, r host.Release) ([]byte, error) {
	document, err := os.ReadFile(filepath.Join(folder, reportFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var of struct {
		SHA256 string `json:"sha256"`
	}
	if json.Unmarshal(document, &of) != nil || of.SHA256 != r.SHA256 {
		return nil, nil
	}
	return document, nil
}

// sumsOf lists digests as sha256sum does.
func sumsOf(files map[string][]byte) []byte {
	var b bytes.Buffer
	names := []string{}
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		sum := sha256.Sum256(files[name])
		fmt.Fprintf(&b, "%s  %s\n", hex.EncodeToString(sum[:]), name)
	}
	return b.Bytes()
}

// look reads the release in a folder, whatever the folder's name.
func look(folder string) (host.Release, error) {
	// The manifest knows the plugin's name, which the folder need not have.
	name := host.Look(folder, filepath.Base(folder))
	if name.Manifest == nil {
		return name, fmt.Errorf("%s: %s", folder, name.Problem)
	}
	r := host.Look(folder, name.Manifest.ID)
	if r.Problem != "" {
		return r, fmt.Errorf("%s: %s", folder, r.Problem)
	}
	return r, nil
}

// unpack puts what a release consists of into a folder, from an archive or from
// another folder. It takes no other file, and no links.
func unpack(from, into string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return copyFolder(from, into)
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	zip, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s is no archive of a plugin: %w", from, err)
	}
	in := tar.NewReader(zip)
	for count := 0; ; count++ {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s is no archive of a plugin: %w", from, err)
		}
		if h.Typeflag != tar.TypeReg || h.Name != filepath.Base(h.Name) || strings.HasPrefix(h.Name, ".") || count >= 5 {
			return fmt.Errorf("%s holds %q, which is no part of a plugin", from, h.Name)
		}
		if err := write(filepath.Join(into, h.Name), in); err != nil { //nolint:gosec // the name has no folder, see above
			return err
		}
	}
}

func copyFolder(from, into string) error {
	r, err := look(from)
	if err != nil {
		return err
	}
	for _, name := range []string{manifestFile, r.Name, reportFile, sumsFile, signatureFile} {
		f, err := os.Open(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) && (name == reportFile || name == sumsFile || name == signatureFile) {
			continue
		}
		if err != nil {
			return err
		}
		err = write(filepath.Join(into, name), f)
		_ = f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// write makes a file of at most maxFile bytes. It may be executed if it is none
// of the files that are only read.
func write(path string, from io.Reader) error {
	mode := os.FileMode(0o444)
	if base := filepath.Base(path); base != manifestFile && base != reportFile && base != sumsFile && base != signatureFile {
		mode = 0o555
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(from, maxFile+1))
	if err == nil && n > maxFile {
		err = fmt.Errorf("%s is larger than %d MiB", filepath.Base(path), maxFile>>20)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
