package issuer

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/singleflight"
	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oauthclient"
)

// This file asks an issuer about tokens (RFC 7662): each token once at a time, within
// bounds that a flood of forged tokens cannot take from the valid ones.

const (
	// maxQuestions bounds the introspections that are under way at one issuer.
	// Each forged opaque token costs one.
	maxCalls = 32
	// maxUnknownQuestions bounds those about tokens that have not been found
	// active before, and maxUnknownWaiting the requests that wait for them. The
	// rest is for known tokens.
	maxUnknownCalls   = maxCalls / 2
	maxUnknownWaiting = maxWaiters / 2
	// maxActiveCost bounds the cached answers about active tokens, in bytes.
	maxActiveCost = 8 << 20
	// maxInactive is the number of cached answers about other tokens. They have
	// a cache of their own, so that forged tokens cannot evict active ones.
	maxInactive = 4096
	// failureLogInterval is the shortest time between two log lines about one
	// cause of failure. Anyone can change the state with each request, by
	// tokens that the endpoint fails at among those that it answers.
	failureLogInterval = time.Minute
	// maxFailureCauses is the number of causes that are logged in that time.
	maxFailureCauses = 32
)

// An introspectionCall is one introspection under way.
type introspectionCall = singleflight.Call[tokenHash, *answer]

// An introspector asks one issuer about tokens, and caches the answers. It is safe
// for concurrent use.
type introspector struct {
	name     string
	clock    func() time.Time
	log      *slog.Logger
	observer Observer
	workers  *workers

	config  Introspection
	reader  answerReader
	auth    oauthclient.Authentication
	client  *oauthclient.Client
	timeout time.Duration
	slots   chan struct{}
	waiting waiterLimit // for an answer

	// unknownSlots and unknownWaiting are the shares of the two above that
	// requests with an unknown token may take.
	unknownSlots   chan struct{}
	unknownWaiting waiterLimit
	known          knownTokens

	// macKey keys the hashes of tokens. Only the token is hashed, because the
	// caches belong to one issuer, one endpoint and one client.
	macKey           [sha256.Size]byte
	active, inactive *answerCache

	calls singleflight.Group[tokenHash, *answer]

	mu      sync.Mutex
	failing bool
	// failureLogged is set if the last line of the log is about a failure. causes
	// are those that were logged since causesSince.
	failureLogged bool
	causes        map[string]struct{}
	causesSince   time.Time
}

// newIntrospector returns an introspector for a configuration that has introspect.
// It reads the file of a private key.
func newIntrospector(c Config, o Options, client *oauthclient.Client, rules *claimRules, signatures *signatureCheck, w *workers) (*introspector, error) {
	auth, err := newAuthentication(*c.Introspect, c.Issuer, o)
	if err != nil {
		return nil, err
	}
	n := &introspector{
		name: c.Name, clock: o.Clock, log: o.Logger, observer: o.Observer, workers: w,
		reader: answerReader{config: *c.Introspect, rules: rules, signatures: signatures, clock: o.Clock},
		config: *c.Introspect, auth: auth, client: client, timeout: time.Duration(c.Timeout),
		slots: make(chan struct{}, maxCalls), waiting: waiterLimit{limit: maxWaiters},
		unknownSlots: make(chan struct{}, maxUnknownCalls), unknownWaiting: waiterLimit{limit: maxUnknownWaiting},
		known:  newKnownTokens(maxKnownTokens),
		active: newAnswerCache(maxActiveCost), inactive: newAnswerCache(maxInactive),
		causes: make(map[string]struct{}),
	}
	if _, err := io.ReadFull(o.Rand, n.macKey[:]); err != nil {
		return nil, fmt.Errorf("reading randomness: %w", err)
	}
	return n, nil
}

// isOpaque reports whether raw has the form of a bearer token (RFC 6750, section 2.1:
// b64token). The issuer is asked about nothing else.
func isOpaque(raw string) bool {
	text := strings.TrimRight(raw, "=")
	if text == "" || len(raw) > jose.MaxTokenBytes {
		return false
	}
	for n := 0; n < len(text); n++ {
		switch c := text[n]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// ask returns the endpoint's answer about an active token: a cached one, that of the
// call under way, or a new one. Verified is set for a JWT whose signature has
// been verified, which cannot be forged. Errors wrap errInactive, errMalformed or
// ErrUnavailable, or are those of the context.
func (n *introspector) ask(ctx context.Context, raw string, verified bool) (*answer, error) {
	if !isOpaque(raw) {
		return nil, fmt.Errorf("not in the form of a bearer token: %w", errMalformed)
	}
	key := n.hash(raw)
	if a := n.cached(key); a != nil {
		n.observer.Introspected(n.name, IntrospectCached)
		return a.requireActive()
	}
	a, err := n.askOnce(ctx, key, raw, verified || n.known.has(key))
	if err != nil {
		if errors.Is(err, errBusy) {
			n.observer.Introspected(n.name, IntrospectBusy)
		}
		return nil, err
	}
	return a.requireActive()
}

// askOnce joins the call under way about a token, or starts one. Known is set for a
// token that may use the share of those which have been found active before.
func (n *introspector) askOnce(ctx context.Context, key tokenHash, raw string, known bool) (*answer, error) {
	if !known {
		if !n.unknownWaiting.join() {
			return nil, errBusy
		}
		defer n.unknownWaiting.leave()
	}
	if !n.waiting.join() {
		return nil, errBusy
	}
	defer n.waiting.leave()
	call := n.calls.Current(key)
	if call == nil {
		var err error
		if call, err = n.start(ctx, key, raw, known); err != nil {
			return nil, err
		}
	}
	if err := await(ctx, call.Done(), n.timeout, errIntrospection); err != nil {
		return nil, fmt.Errorf("waiting for introspection: %w", err)
	}
	return call.Result()
}

// hash returns the keyed hash of a token.
func (n *introspector) hash(raw string) tokenHash {
	mac := hmac.New(sha256.New, n.macKey[:])
	_, _ = io.WriteString(mac, raw)
	return tokenHash(mac.Sum(nil))
}

// cached returns the cached answer about a token, or nil.
func (n *introspector) cached(key tokenHash) *answer {
	now := n.clock()
	if a := n.active.get(key, now); a != nil {
		// A signed answer is valid no longer than the key that signed it.
		if a.keySet == 0 || n.reader.signatures.current(a.keySet, now) {
			return a
		}
	}
	return n.inactive.get(key, now)
}

// start joins the call about a token as soon as a slot is free, and starts one if
// there is none by then. The call has a deadline of its own: a client that leaves does
// not cancel it for the others that wait.
func (n *introspector) start(ctx context.Context, key tokenHash, raw string, known bool) (*introspectionCall, error) {
	release, err := n.slot(ctx, known)
	if err != nil {
		return nil, err
	}
	running := false
	call, err := n.calls.Join(key, func(call *introspectionCall) error { //nolint:contextcheck // detached, as said above
		if a := n.cached(key); a != nil { // a call ended during the wait for a slot
			call.Finish(a, nil, nil)
			return nil
		}
		if running = n.workers.start(func() { n.runCall(call, key, raw, release) }); !running {
			return errIntrospection
		}
		return nil
	})
	if !running {
		release()
	}
	return call, err
}

// slot takes the slot of one call, and for an unknown token one of their share first.
// It waits no longer than a call may last.
func (n *introspector) slot(ctx context.Context, known bool) (release func(), err error) {
	needed := []chan struct{}{n.unknownSlots, n.slots}
	if known {
		needed = needed[1:]
	}
	t := time.NewTimer(n.timeout)
	defer t.Stop()
	for i, slots := range needed {
		select {
		case slots <- struct{}{}:
			continue
		case <-ctx.Done():
			err = fmt.Errorf("waiting to introspect: %w", ctx.Err())
		case <-t.C:
			err = errBusy
		}
		for _, taken := range needed[:i] {
			<-taken
		}
		return nil, err
	}
	return func() {
		for _, taken := range needed {
			<-taken
		}
	}, nil
}

// runCall makes a call, stores the answer, releases the slot and ends the call, in
// this order: the next request about the token finds the answer or the call.
func (n *introspector) runCall(call *introspectionCall, key tokenHash, raw string, release func()) {
	a, cost, err := n.request(raw)
	switch {
	case err != nil:
	case a.active:
		a.token = key
		n.active.put(key, a, cost)
	default:
		n.known.remove(key)
		n.inactive.put(key, a, 1)
	}
	n.report(a, err)
	release()
	call.Finish(a, err, nil)
}

// report counts an introspection, and logs when the state changes.
func (n *introspector) report(a *answer, err error) {
	outcome := IntrospectActive
	switch {
	case errors.Is(err, errIntrospectionRefused):
		outcome = IntrospectRefused
	case err != nil:
		outcome = IntrospectError
	case !a.active:
		outcome = IntrospectInactive
	}
	n.observer.Introspected(n.name, outcome)
	if !n.noteFailing(err) || n.workers.ctx.Err() != nil {
		return
	}
	if err == nil {
		n.log.Info("introspection works again", "issuer", n.name)
		return
	}
	level := slog.LevelWarn
	if outcome == IntrospectRefused {
		level = slog.LevelError
	}
	n.log.Log(context.Background(), level, "introspection fails", "issuer", n.name, "outcome", outcome, "error", err.Error())
}

// noteFailing records whether the last call failed, and reports whether to log
// that: a cause that has not been logged yet, or the end of failing.
func (n *introspector) noteFailing(err error) bool {
	now := n.clock()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failing = err != nil
	if err == nil {
		ended := n.failureLogged
		n.failureLogged = false
		return ended
	}
	// A clock that was set back must not silence the log for as long.
	if age := now.Sub(n.causesSince); !n.failureLogged && (age < 0 || age >= failureLogInterval) {
		clear(n.causes)
		n.causesSince = now
	}
	cause := err.Error()
	if _, logged := n.causes[cause]; logged || len(n.causes) == maxFailureCauses {
		return false
	}
	n.causes[cause] = struct{}{}
	n.failureLogged = true
	return true
}

// request asks the endpoint. It returns the answer and its cost in the cache. A panic
// is a failed call.
func (n *introspector) request(raw string) (a *answer, cost int, err error) {
	defer func() {
		if p := recover(); p != nil {
			a, err = nil, fmt.Errorf("introspecting: panic: %w", errIntrospection)
		}
	}()
	ctx, cancel := context.WithTimeout(n.workers.ctx, n.timeout)
	defer cancel()
	body, media, err := n.post(ctx, raw)
	if err != nil {
		return nil, 0, err
	}
	a, err = n.reader.read(ctx, body, media)
	if err != nil {
		return nil, 0, err
	}
	// Decoded values take a few times the memory of their text.
	return a, 4*len(body) + 512, nil
}

// post sends the request, and returns the body of a 200 with its media type.
func (n *introspector) post(ctx context.Context, raw string) (body []byte, media string, err error) {
	form := url.Values{"token": {raw}, "token_type_hint": {"access_token"}}
	header := make(http.Header)
	if err := n.auth(form, header); err != nil {
		return nil, "", fmt.Errorf("introspecting: %w: %w", err, errIntrospection)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.config.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, "", fmt.Errorf("introspecting: %w", errIntrospection)
	}
	r.Header = header
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if n.config.Signed {
		r.Header.Set("Accept", mediaSigned)
	}
	res, err := n.client.Do(r, maxAnswer)
	if err != nil {
		return nil, "", fmt.Errorf("introspecting: %w: %w", detached(err), errIntrospection)
	}
	if res.Status != http.StatusOK {
		return nil, "", refusal(res.Status, res.Body)
	}
	media, _, err = mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		return nil, "", fmt.Errorf("introspecting: answer without a content type: %w", errIntrospection)
	}
	return res.Body, media, nil
}

// detached returns an error with the same text that wraps nothing. The call's own deadline has ended, and must not be taken for that of the request.
func detached(err error) error { return errors.New(err.Error()) }
