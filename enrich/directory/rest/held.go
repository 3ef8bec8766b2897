package rest

import (
	"container/list"
	"net/http"
	"sync"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
)

// held keeps answers that the service can confirm, the latest asked for.
type held struct {
	mu     sync.Mutex
	byURL  map[string]*list.Element // of *heldAnswer
	recent *list.List
	size   int
}

// heldAnswer is an answer with what the service knows it by.
type heldAnswer struct {
	url, etag, modified string
	answer              *fetch.Response
	keep                *time.Duration
}

func (a *heldAnswer) size() int {
	n := len(a.url) + len(a.answer.Body)
	for _, values := range a.answer.Header {
		for _, v := range values {
			n += len(v)
		}
	}
	return n
}

const (
	// maxHeld bounds what is held, in bytes: 16,000 users of 1 KB.
	maxHeld = 16 << 20

	// maxHeldAnswer keeps one answer from taking the place of all others.
	maxHeldAnswer = maxHeld / 16
)

func newHeld() *held {
	return &held{byURL: make(map[string]*list.Element), recent: list.New()}
}

func (h *held) get(url string) *heldAnswer {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.byURL[url]
	if !ok {
		return nil
	}
	h.recent.MoveToFront(e)
	return e.Value.(*heldAnswer)
}

func (h *held) drop(url string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e, ok := h.byURL[url]; ok {
		h.remove(e)
	}
}

func (h *held) remove(e *list.Element) {
	a := h.recent.Remove(e).(*heldAnswer)
	delete(h.byURL, a.url)
	h.size -= a.size()
}

// keep holds an answer where the service lets it be held and can confirm it.
func (h *held) keep(url string, r *fetch.Response) {
	a := &heldAnswer{url: url, etag: r.Header.Get("ETag"), modified: r.Header.Get("Last-Modified"), keep: keepOf(r.Header)}
	a.answer = &fetch.Response{Status: r.Status, URL: r.URL, Body: r.Body, Header: http.Header{}}
	for _, name := range pageHeaders {
		if values := r.Header.Values(name); len(values) > 0 {
			a.answer.Header[name] = values
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if e, ok := h.byURL[url]; ok {
		h.remove(e)
	}
	if a.etag == "" && a.modified == "" || a.size() > maxHeldAnswer || has(r.Header, "no-store") {
		return
	}
	h.byURL[url] = h.recent.PushFront(a)
	for h.size += a.size(); h.size > maxHeld; {
		h.remove(h.recent.Back())
	}
}

// condition asks for an answer only where it is another one.
func (a *heldAnswer) condition() http.Header {
	h := http.Header{}
	if a.etag != "" {
		h.Set("If-None-Match", a.etag)
	}
	if a.modified != "" {
		h.Set("If-Modified-Since", a.modified)
	}
	return h
}
