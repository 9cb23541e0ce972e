// Program testplugin is a plugin for the tests of the host. It does what the
// words of a message or webhook ask for: it answers, waits, crashes, leaves.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/internal/handshake"
	"github.com/stratohub/strato/sdk/serve"
	"github.com/stratohub/strato/sdk/settings"
)

//go:embed plugin.json
var manifest []byte

// mode is set by the linker: "" is a sound plugin, "v7" speaks a protocol that
// nobody knows, "other" has another manifest than the file beside it, "exit"
// ends at once, "nostart" refuses to start, "v2" is the next version, "cgo" is
// built with C's library and has little memory.
var mode string

// echo serves one installation.
type echo struct {
	account, token string
	revision       uint64
	env            serve.Env
	closed         atomic.Bool
}

func newEcho(_ context.Context, i sdk.Installation, env serve.Env) (*echo, error) {
	var s struct {
		Account string `json:"account"`
		Token   string `json:"token"`
	}
	if err := settings.Decode(i, &s); err != nil {
		return nil, err
	}
	return &echo{account: s.Account, token: s.Token, revision: i.Revision, env: env}, nil
}

// Close implements [sdk.Closer].
func (e *echo) Close() error {
	e.closed.Store(true)
	return nil
}

// Send answers with the id "account/token-suffix/body".
func (e *echo) Send(ctx context.Context, m sdk.Message) (sdk.Receipt, error) {
	text, _ := m.Content.(sdk.Text)
	if err := e.obey(ctx, text.Body); err != nil {
		return sdk.Receipt{}, err
	}
	if e.closed.Load() {
		return sdk.Receipt{}, errors.New("used after Close")
	}
	return sdk.Receipt{ProviderMessageID: e.account + "/" + e.token[len(e.token)-4:] + "/" + text.Body}, nil
}

// HandleWebhook answers with the body, or with what the endpoint asks for.
func (e *echo) HandleWebhook(ctx context.Context, w sdk.Webhook) (sdk.WebhookResult, error) {
	switch w.Endpoint {
	case "environment":
		return sdk.WebhookResult{Verified: true, Response: sdk.Response{Body: []byte(strings.Join(os.Environ(), "\x00"))}}, nil
	case "descriptors":
		return sdk.WebhookResult{Verified: true, Response: sdk.Response{Body: []byte(descriptors())}}, nil
	case "operator":
		return sdk.WebhookResult{Verified: true, Response: sdk.Response{Body: []byte(e.env.Operator["app_secret"])}}, nil
	}
	if string(w.Request.Body) == "later" && !w.Replay {
		return sdk.WebhookResult{Verified: true}, failure.New(failure.Temporary, "ask me again")
	}
	if w.Endpoint == "services" {
		answer, err := e.use(ctx, strings.Fields(string(w.Request.Body)))
		if err != nil {
			answer = "error: " + err.Error()
		}
		return sdk.WebhookResult{Verified: true, Response: sdk.Response{Body: []byte(answer)}}, nil
	}
	if string(w.Request.Body) == "when" {
		e.env.Log.Info("it came", "at", w.Request.ReceivedAt.UTC().Truncate(time.Second).Format(time.RFC3339), "replay", w.Replay)
	}
	if err := e.obey(ctx, string(w.Request.Body)); err != nil {
		return sdk.WebhookResult{}, err
	}
	return sdk.WebhookResult{Verified: true, Response: sdk.Response{Body: w.Request.Body}, Events: told(w.Request.Body)}, nil
}

// FetchMedia gives a file of as many bytes as the id says.
func (e *echo) FetchMedia(_ context.Context, ref sdk.MediaRef, _ int64) (sdk.MediaFile, error) {
	var n int
	if _, err := fmt.Sscan(ref.ProviderID, &n); err != nil {
		return sdk.MediaFile{}, failure.New(failure.Media, "no such file")
	}
	ref.Size = uint64(n)
	return sdk.MediaFile{Ref: ref, Body: io.NopCloser(bytes.NewReader(bytes.Repeat([]byte("x"), n)))}, nil
}

// obey does what a text asks for.
func (e *echo) obey(ctx context.Context, order string) error {
	switch word, rest, _ := strings.Cut(order, " "); word {
	case "wait":
		// Tells that it has begun by making the file, and ends when that is gone.
		if err := os.WriteFile(rest, nil, 0o600); err != nil {
			return err
		}
		for ctx.Err() == nil {
			if _, err := os.Stat(rest); err != nil {
				return nil
			}
			time.Sleep(time.Millisecond)
		}
		return ctx.Err()
	case "panic":
		panic("panic with " + e.token)
	case "crash":
		e.env.Log.Info("about to crash", "token", e.token)
		go func() { panic("crash with " + e.token) }()
		<-ctx.Done()
		return ctx.Err()
	case "exit":
		fmt.Fprintln(os.Stderr, "printed", e.token)
		e.env.Log.Error("leaving", "token", e.token, "app_secret", e.env.Operator["app_secret"])
		os.Exit(9)
	case "say":
		e.env.Log.InfoContext(ctx, order)
	case "log":
		e.env.Log.Warn(rest, "token", e.token)
		fmt.Println("stray " + e.token)
	case "eat":
		for eaten := [][]byte{}; ; {
			eaten = append(eaten, bytes.Repeat([]byte{1}, 16<<20))
		}
	case "threads":
		// So many threads at once.
		n, _ := strconv.Atoi(rest)
		var all, together sync.WaitGroup
		together.Add(n)
		for range n {
			all.Go(func() {
				runtime.LockOSThread()
				together.Done()
				together.Wait()
			})
		}
		all.Wait()
	case "refuse":
		return &failure.Failure{Code: failure.RateLimited, RetryAfter: time.Second, Message: "slow down"}
	case "fail":
		return errors.New("a problem with " + e.token)
	}
	return nil
}

// descriptors lists what the process has open besides the runtime's own.
func descriptors() string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil {
			out = append(out, e.Name()+" "+to)
		}
	}
	return strings.Join(out, "\n")
}

func main() {
	p := serve.Plugin[*echo]{Manifest: manifest, New: newEcho, Route: route}
	switch mode {
	case "v7":
		plugin.Serve(&plugin.ServeConfig{
			HandshakeConfig:  handshake.Config(),
			VersionedPlugins: map[int]plugin.PluginSet{7: {handshake.Name: &handshake.Glue{Register: func(*plugin.GRPCBroker, *grpc.Server) {}}}},
			GRPCServer:       plugin.DefaultGRPCServer,
		})
		return
	case "other":
		p.Manifest = bytes.Replace(manifest, []byte("Answers what it hears"), []byte("Something else"), 1)
	case "v2":
		p.Manifest = bytes.Replace(manifest, []byte("1.2.3"), []byte("2.0.0"), 1)
	case "cgo":
		p.Manifest = bytes.Replace(manifest, []byte(`"memory_mib": 128`), []byte(`"memory_mib": 64`), 1)
	case "exit":
		fmt.Fprintln(os.Stderr, "cannot go on")
		os.Exit(4)
	case "nostart":
		p.Start = func(context.Context, serve.Env) error { return errors.New("no licence for " + os.Args[0]) }
	}
	serve.Main(p)
}
