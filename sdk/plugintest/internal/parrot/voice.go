package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/httpx"
)

// Synthesize implements sdk.Speaker.
func (p *parrot) Synthesize(ctx context.Context, s sdk.Speech) (sdk.Audio, error) {
	sum := sha256.Sum256([]byte(s.Text))
	head := sdk.AudioHead{MIMEType: "audio/ogg", CacheKey: hex.EncodeToString(sum[:])}
	switch {
	case p.defect == "streams/speech":
		head.CacheKey = "squawk"
	case s.KnownKey == head.CacheKey:
		return sdk.Audio{Head: head, Body: io.NopCloser(bytes.NewReader(nil))}, nil
	}
	if p.defect == "streams/cancelled" {
		ctx = context.WithoutCancel(ctx)
	}
	resp, err := p.get(ctx, "/speech?text="+url.QueryEscape(s.Text))
	if err != nil {
		return sdk.Audio{}, err
	}
	var body io.ReadCloser = heard{resp.Body}
	switch p.defect {
	case "streams/broken":
		body = deaf{resp.Body}
	case "streams/cancelled":
		body = io.NopCloser(body)
	}
	return sdk.Audio{Head: head, Body: body}, nil
}

// FetchMedia implements sdk.MediaFetcher.
func (p *parrot) FetchMedia(ctx context.Context, ref sdk.MediaRef, _ int64) (sdk.MediaFile, error) {
	resp, err := p.get(ctx, "/files/"+url.PathEscape(ref.ProviderID))
	if err != nil {
		return sdk.MediaFile{}, err
	}
	if p.defect == "streams/file" {
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(nil))
	}
	return sdk.MediaFile{Ref: ref, Body: resp.Body}, nil
}

// get opens what the provider streams.
func (p *parrot) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, cmp.Or(p.env.Operator["base_url"], "https://api.parrot.example")+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+p.token())
	resp, err := p.env.HTTP.Do(req)
	if err != nil || resp.StatusCode == http.StatusOK {
		return resp, err
	}
	_ = resp.Body.Close()
	if p.defect == "streams/refused" {
		return nil, errors.New("no")
	}
	return nil, (&httpx.Response{Method: req.Method, Status: resp.StatusCode, Header: resp.Header}).Failure()
}

// heard tells what broke.
type heard struct{ io.ReadCloser }

func (h heard) Read(b []byte) (int, error) {
	n, err := h.ReadCloser.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = failure.New(failure.Temporary, "the parrot stopped in the middle of a word")
	}
	return n, err
}

// deaf takes any end for a good one.
type deaf struct{ io.ReadCloser }

func (d deaf) Read(b []byte) (int, error) {
	n, err := d.ReadCloser.Read(b)
	if err != nil {
		err = io.EOF
	}
	return n, err
}
