package plugintest

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stratohub/strato/sdk/pluginv1"
)

// inlet takes the webhooks that the simulator posts, answers 200 at once and
// keeps them, for the checks to show the plugin as they are or changed.
type inlet struct {
	base string

	mu   sync.Mutex
	came map[string][]*pluginv1.HttpRequest // by account
	news chan struct{}                      // closed and made anew with each
}

func newInlet() *inlet {
	return &inlet{came: map[string][]*pluginv1.HttpRequest{}, news: make(chan struct{})}
}

func (i *inlet) url(label string) string { return i.base + "/api/webhooks/kit/" + label }

// ServeHTTP implements http.Handler.
func (i *inlet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
	if err != nil {
		return
	}
	req := &pluginv1.HttpRequest{
		Method: r.Method, Path: r.URL.Path, RawQuery: r.URL.RawQuery, Body: body, RemoteAddr: "192.0.2.1", ReceivedAt: timestamppb.New(time.Now()),
	}
	for name, values := range r.Header {
		for _, v := range values {
			req.Headers = append(req.Headers, &pluginv1.Header{Name: name, Value: v})
		}
	}
	label := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	i.mu.Lock()
	i.came[label] = append(i.came[label], req)
	close(i.news)
	i.news = make(chan struct{})
	i.mu.Unlock()
	w.WriteHeader(http.StatusOK)
}

// look returns what came for an account, and a channel that is closed when more
// comes.
func (i *inlet) look(label string) ([]*pluginv1.HttpRequest, <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]*pluginv1.HttpRequest(nil), i.came[label]...), i.news
}
