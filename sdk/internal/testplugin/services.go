package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk"
)

// use does with the host's services what words ask for, and tells what came of it.
func (e *echo) use(ctx context.Context, words []string) (string, error) {
	host := e.env.Host
	switch strings.Join(words[:1], "") {
	case "get": // KEY
		v, err := host.State.Get(ctx, words[1])
		return string(v.Data), err
	case "version": // KEY
		v, err := host.State.Get(ctx, words[1])
		return strconv.FormatUint(v.Version, 10), err
	case "put": // KEY VALUE [TTL]
		var ttl time.Duration
		if len(words) > 3 {
			ttl, _ = time.ParseDuration(words[3])
		}
		return "put", host.State.Put(ctx, words[1], []byte(words[2]), ttl)
	case "fill": // KEY BYTES
		n, err := strconv.Atoi(words[2])
		if err != nil {
			return "", err
		}
		return "filled", host.State.Put(ctx, words[1], bytes.Repeat([]byte("x"), n), 0)
	case "putif": // KEY VALUE VERSION
		version, err := strconv.ParseUint(words[3], 10, 64)
		if err != nil {
			return "", err
		}
		_, written, err := host.State.PutIf(ctx, words[1], []byte(words[2]), 0, version)
		return strconv.FormatBool(written), err
	case "delete": // KEY
		return "deleted", host.State.Delete(ctx, words[1])
	case "list": // PREFIX
		keys, next, err := host.State.List(ctx, words[1], "")
		return strings.Join(keys, " ") + ";" + next, err
	case "rotate": // VALUE
		revision, stored, err := host.Secrets.Rotate(ctx, e.revision, map[string]string{"/token": words[1]})
		return fmt.Sprint(revision, stored), err
	case "rotate-other": // POINTER
		_, _, err := host.Secrets.Rotate(ctx, e.revision, map[string]string{words[1]: "a value"})
		return "rotated", err
	case "token":
		return e.token, nil
	case "write": // BYTES OF-WHAT
		n, err := strconv.Atoi(words[1])
		if err != nil {
			return "", err
		}
		blob, err := host.Blobs.Write(ctx, "text/plain", io.LimitReader(repeated(words[2][0]), int64(n)))
		return blob.ID, err
	case "read": // ID
		blob, body, err := host.Blobs.Read(ctx, words[1])
		if err != nil {
			return "", err
		}
		defer func() { _ = body.Close() }()
		content, err := io.ReadAll(body)
		if err == nil && uint64(len(content)) != blob.Size {
			err = errors.New("the size is wrong")
		}
		first := content[:min(len(content), 1)]
		if len(first) > 0 && bytes.Count(content, first) != len(content) {
			err = errors.New("the content is mixed")
		}
		return fmt.Sprintf("%s %d %s", blob.MIMEType, len(content), first), err
	case "publish": // ID TEXT [KEY-KIND KEY-VALUE]
		event := sdk.Event{DedupeKey: "in:" + words[1], OccurredAt: time.Now(), Payload: sdk.InboundMessage{
			ProviderMessageID: words[1], From: sdk.Party{Addresses: []sdk.Address{{Kind: "wa_id", Value: "549115550" + words[1]}}},
			Content: sdk.Text{Body: words[2]},
		}}
		if len(words) > 4 {
			event.RouteKeys = []sdk.RouteKey{{Kind: words[3], Value: words[4]}}
		}
		return "published", host.Events.Publish(ctx, event)
	case "stray": // without a call
		_, err := host.State.Get(context.Background(), "key")
		return "", err
	}
	return "", errors.New("what is that?")
}

// repeated is an endless file of one character.
type repeated byte

// Read implements io.Reader.
func (r repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}
