package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stratohub/strato/sdk/webhook"
)

// hook is the provider's webhook of one customer's message, as it documents it.
const hook = `{"object":"whatsapp_business_account","entry":[{"id":"%s","changes":[{"value":{"messaging_product":"whatsapp",` +
	`"metadata":{"display_phone_number":"5491150550100","phone_number_id":"%s"},` +
	`"contacts":[{"profile":{"name":"Lucía Ferreyra"},"wa_id":"%s","user_id":"AR.%d"}],` +
	`"messages":[{"from":"%s","from_user_id":"AR.%d","id":"%s","timestamp":"%d","type":"text",` +
	`"text":{"body":"Hola! Vi el 3 ambientes de Acoyte al 400 en Caballito. ¿Sigue disponible? ¿Aceptan mascotas?"}}]},"field":"messages"}]}]}`

// message writes the webhook of a customer's message.
func (a *account) message(customer int, id string) []byte {
	phone, user := fmt.Sprintf("54911%08d", 55600000+customer), 7301948200000000+customer
	return fmt.Appendf(nil, hook, a.settings["business_account_id"], a.settings["phone_number_id"],
		phone, user, phone, user, id, time.Now().Unix())
}

func (a *account) sign(body []byte) string { return webhook.SignHub(a.settings["app_secret"], body) }

// client posts webhooks on one connection. It is written by hand because the
// driver runs on the machine that is measured: net/http would cost a fifth of it.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	out  bytes.Buffer
	a    *account
}

func dial(ctx context.Context, a *account) (*client, error) {
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", a.webhook.Host)
	if err != nil {
		return nil, fmt.Errorf("connect to Strato: %w", err)
	}
	return &client{conn: c, in: bufio.NewReader(c), a: a}, nil
}

// post returns the status of the answer.
func (c *client) post(body []byte) (int, error) {
	if err := c.conn.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		return 0, err
	}
	c.out.Reset()
	fmt.Fprintf(&c.out, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nX-Hub-Signature-256: %s\r\nContent-Length: %d\r\n\r\n",
		c.a.webhook.Path, c.a.webhook.Host, c.a.sign(body), len(body))
	c.out.Write(body)
	if _, err := c.conn.Write(c.out.Bytes()); err != nil {
		return 0, fmt.Errorf("post a webhook: %w", err)
	}
	return c.answer()
}

// answer reads an HTTP/1.1 response with a Content-Length.
func (c *client) answer() (int, error) {
	status, length := 0, 0
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return 0, fmt.Errorf("read the answer: %w", err)
		}
		line = strings.TrimRight(line, "\r\n")
		switch {
		case status == 0:
			_, rest, _ := strings.Cut(line, " ")
			if status, err = strconv.Atoi(rest[:min(3, len(rest))]); err != nil {
				return 0, fmt.Errorf("read the answer: %w", err)
			}
		case line == "":
			_, err := c.in.Discard(length)
			return status, err
		case len(line) > 15 && strings.EqualFold(line[:15], "Content-Length:"):
			if length, err = strconv.Atoi(strings.TrimSpace(line[15:])); err != nil {
				return 0, fmt.Errorf("read the answer: %w", err)
			}
		}
	}
}

// load has the clients post for a while and returns how many webhooks were
// answered 200 and how long it took. Any other answer is an error.
func (w *world) load(ctx context.Context, label string, length time.Duration) (int, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var accepted atomic.Int64
	start := time.Now()
	err := w.together(func(n int) error {
		c, err := dial(context.WithoutCancel(ctx), w.account)
		if err != nil {
			return err
		}
		defer c.conn.Close()
		for i := 0; ctx.Err() == nil; i++ {
			if err := c.expect(w.account.message(rand.IntN(w.customers), fmt.Sprintf("wamid.%s.%d.%d", label, n, i))); err != nil {
				return err
			}
			accepted.Add(1)
		}
		return nil
	})
	return int(accepted.Load()), time.Since(start), err
}

func (c *client) expect(body []byte) error {
	status, err := c.post(body)
	if err == nil && status != 200 {
		err = fmt.Errorf("the server answered %d", status)
	}
	return err
}

// together runs f once for every client, at the same time.
func (w *world) together(f func(n int) error) error {
	errs := make([]error, w.clients)
	var wait sync.WaitGroup
	for n := range w.clients {
		wait.Go(func() { errs[n] = f(n) })
	}
	wait.Wait()
	return errors.Join(errs...)
}
