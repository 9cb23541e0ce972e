package httpx_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/httpx"
)

// A plugin finds its client in Env.HTTP. Any status is an answer, of which
// Failure tells what it means; an error holds a failure too.
func Example() {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer good" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"id": "m1"}`))
	}))
	defer provider.Close()
	client, err := httpx.New(httpx.Config{Hosts: []string{"api.example.com"}, BaseURL: provider.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	send := func(url, token string) (string, error) {
		r, err := client.Call(context.Background(), httpx.Request{
			URL: url, JSON: map[string]string{"text": "hola"}, Header: http.Header{"Authorization": {"Bearer " + token}},
		})
		if err != nil {
			return "", err
		}
		if f := r.Failure(); f != nil {
			return "", f
		}
		var sent struct {
			ID string `json:"id"`
		}
		return sent.ID, r.Decode(&sent)
	}
	fmt.Println(send(provider.URL, "good"))
	_, err = send(provider.URL, "stale")
	fmt.Println(errors.Is(err, &failure.Failure{Code: failure.Auth}), err)
	_, err = send("https://elsewhere.example", "good")
	fmt.Println(errors.Is(err, &failure.Failure{Code: failure.InvalidRequest}))
	// Output:
	// m1 <nil>
	// true auth: the provider refused the credentials
	// true
}
