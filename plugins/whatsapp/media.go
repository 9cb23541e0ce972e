package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// FetchMedia implements [sdk.MediaFetcher]: it asks for the file's address,
// which is good for five minutes, and opens it.
func (c *channel) FetchMedia(ctx context.Context, ref sdk.MediaRef, limit int64) (sdk.MediaFile, error) {
	at := ref.URL
	if ref.ProviderID != "" {
		var found struct {
			URL      str `json:"url"`
			MIMEType str `json:"mime_type"`
			SHA256   str `json:"sha256"`
			Size     str `json:"file_size"`
		}
		query := url.Values{"phone_number_id": {c.account.PhoneNumberID}}
		if err := c.graph.do(ctx, call{path: []string{ref.ProviderID}, query: query}, &found); err != nil {
			return sdk.MediaFile{}, err
		}
		at = string(found.URL)
		ref.MIMEType, ref.SHA256 = string(found.MIMEType), hexSHA256(found.SHA256)
		ref.Size, _ = strconv.ParseUint(string(found.Size), 10, 64) // 0 means unknown
	}
	if limit > 0 && ref.Size > uint64(limit) {
		return sdk.MediaFile{}, tooLarge()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil || at == "" {
		return sdk.MediaFile{}, refusal(failure.Media, failure.Provider, "WhatsApp gave no address for the file")
	}
	req.Header.Set("Authorization", "Bearer "+c.graph.token)
	resp, err := c.graph.http.Do(req)
	if err != nil {
		return sdk.MediaFile{}, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		f := refusal(failure.Media, failure.Provider, "WhatsApp no longer has the file at the address it gave")
		f.HTTPStatus = resp.StatusCode
		if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
			f.Code, f.Message = failure.Temporary, "WhatsApp could not give the file at the moment"
		}
		return sdk.MediaFile{}, f
	}
	if ref.MIMEType == "" {
		ref.MIMEType = resp.Header.Get("Content-Type")
	}
	return sdk.MediaFile{Ref: ref, Body: &bounded{body: resp.Body, left: limit}}, nil
}

func tooLarge() error {
	return refusal(failure.Media, failure.Tenant, "the file is larger than Strato keeps")
}

// bounded fails once more than its bytes were read; a left of 0 or less from
// the start is no bound.
type bounded struct {
	body io.ReadCloser
	left int64
	read int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.read += int64(n)
	if b.left > 0 && b.read > b.left {
		return 0, tooLarge()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		f := refusal(failure.Temporary, failure.Provider, "the file broke off")
		return n, errors.Join(f, err)
	}
	return n, err
}

func (b *bounded) Close() error { return b.body.Close() }
