package host_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/stratohub/strato/sdk/host"
)

// helper is what the test binary does when a test runs it as a host program.
func helper(role string, args []string) {
	dir, runtimeDir := args[0], args[1]
	switch role {
	case "hold":
		h := must(host.New(host.Config{Dir: dir, RuntimeDir: runtimeDir}))
		c, _, err := h.Acquire(context.Background(), "echo")
		if err != nil {
			panic(err)
		}
		fmt.Println(c.PID)
		select {}
	case "loopback":
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
		fmt.Println(s.URL)
		select {}
	case "leak":
		cycle(dir, runtimeDir)
		before := runtime.NumGoroutine()
		for range 5 {
			cycle(dir, runtimeDir)
		}
		// go-plugin and gRPC end some goroutines a little later than their calls.
		for until := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(until); {
			runtime.Gosched()
		}
		if n := runtime.NumGoroutine(); n > before {
			fmt.Printf("%d goroutines before, %d after\n", before, n)
			_ = pprof.Lookup("goroutine").WriteTo(os.Stdout, 1)
			os.Exit(1)
		}
	}
}

// cycle is the whole life of a host: a start, a crash, a replacement, a stop.
func cycle(dir, runtimeDir string) {
	h := must(host.New(host.Config{Dir: dir, RuntimeDir: runtimeDir, Timing: quick()}))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	i := installation("i", 1, "a", "token-1234")
	if _, err := send(ctx, h, i, "hello"); err != nil {
		panic(err)
	}
	if err := h.Replace(ctx, "echo"); err != nil {
		panic(err)
	}
	if _, err := send(ctx, h, i, "exit"); err == nil {
		panic("it did not exit")
	}
	for {
		if _, err := send(ctx, h, i, "hello"); err == nil {
			break
		}
	}
	if err := h.Stop(ctx); err != nil {
		panic(err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
