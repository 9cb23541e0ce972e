package plugintest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

// bodyMax bounds what is remembered of a request.
const bodyMax = 8 << 20

// provider stands between the plugin and the simulator: it remembers what is
// asked, and can answer in the simulator's place.
type provider struct {
	proxy *httputil.ReverseProxy

	mu     sync.Mutex
	asked  []asked
	fault  http.HandlerFunc // nil: the simulator answers
	gone   chan struct{}    // closed when the check is over
	closed bool
}

// asked is one request as the provider got it.
type asked struct {
	method, path, header, body string
}

// writes reports whether the request may have changed something.
func (a asked) writes() bool {
	return a.method != http.MethodGet && a.method != http.MethodHead && a.method != http.MethodOptions
}

func (a asked) has(word string) bool {
	return strings.Contains(a.header, word) || strings.Contains(a.body, word) || strings.Contains(a.path, word)
}

func newProvider(simulator string) (*provider, error) {
	u, err := url.Parse(simulator)
	if err != nil {
		return nil, fmt.Errorf("read the simulator's address: %w", err)
	}
	proxy := httputil.NewSingleHostReverseProxy(u)
	// It is the plugin's to tell, and it may have hung up.
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	return &provider{proxy: proxy, gone: make(chan struct{})}, nil
}

// ServeHTTP implements http.Handler.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
	if err != nil {
		return // the plugin hung up, or sends more than any provider takes
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var header strings.Builder
	_ = r.Header.Write(&header) // a strings.Builder takes everything
	p.mu.Lock()
	p.asked = append(p.asked, asked{r.Method, r.URL.RequestURI(), header.String(), string(body)})
	fault := p.fault
	p.mu.Unlock()
	if fault != nil {
		fault(w, r)
		return
	}
	p.proxy.ServeHTTP(w, r)
}

// set has the provider answer so from now on; nil mends it.
func (p *provider) set(f http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// mark starts a new list of requests.
func (p *provider) mark() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = nil
}

// since lists the requests since the mark.
func (p *provider) since() []asked {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]asked(nil), p.asked...)
}

// release ends answers that hang on purpose.
func (p *provider) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		close(p.gone)
	}
}

// status answers every request with a status, without words.
func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// reset reads the request and breaks the connection instead of answering.
func reset(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// hold keeps the simulator's answers back until the returned function is called.
func (p *provider) hold() (letGo func()) {
	open := make(chan struct{})
	p.set(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-open:
		case <-p.gone:
		}
		p.proxy.ServeHTTP(w, r)
	})
	return sync.OnceFunc(func() {
		p.set(nil)
		close(open)
	})
}

// hang says nothing until the plugin hangs up, and tells that it did.
func (p *provider) hang(left chan<- struct{}) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
			select {
			case left <- struct{}{}:
			default:
			}
		case <-p.gone:
		}
		panic(http.ErrAbortHandler)
	}
}
