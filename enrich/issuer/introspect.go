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

	"github.com/tokenenrich/caddy-token-enrich/enrich/oauthclient"
)

const (
	// maxQuestions bounds the introspections that are under way at one
	// issuer: forged opaque tokens cost a question each.
	maxQuestions = 32
	// maxStrangerQuestions bounds those of them about tokens that were not seen
	// good before, and maxStrangers the requests with such a token that wait:
	// the other places are for tokens that were.
	maxStrangerQuestions = maxQuestions / 2
	maxStrangers         = maxCrowd / 2
	// maxAnswer bounds one answer; the largest hold a few hundred groups.
	maxAnswer = 64 << 10
	// maxActiveCost bounds the kept answers about active tokens, in bytes.
	maxActiveCost = 8 << 20
	// maxInactive bounds the kept answers about other tokens. They have room
	// of their own, so that forged tokens cannot drive out good ones.
	maxInactive = 4096
	// inactiveLife is how long "not active" is kept at most: it spares the
	// endpoint a client that insists, and passes once a replica has caught up.
	inactiveLife = 10 * time.Second
	// failureLogInterval is the shortest time between two lines about failing
	// for one cause: a stranger whose odd tokens the endpoint fails at, among
	// honest ones that it answers about, changes the state with each of them.
	failureLogInterval = time.Minute
	// maxFailureCauses is how many causes are told of in that time.
	maxFailureCauses = 32
)

// mediaSigned is the type of a signed answer (RFC 9701, section 5).
const mediaSigned = "application/token-introspection+jwt"

// An answer is what the endpoint said of one token. It is never changed.
type answer struct {
	token  tokenHash
	active bool
	claims map[string]any
	keySet uint64 // the version that verified a signed answer
	until  time.Time
}

func (a *answer) goodAt(now time.Time) bool { return now.Before(a.until) }

// A question is one introspection under way.
type question struct {
	done   chan struct{}
	answer *answer
	err    error
}

// An introspector asks an issuer about tokens (RFC 7662), each once at a
// time, and keeps the answers for a while.
type introspector struct {
	issuer  *Issuer
	config  Introspection
	auth    oauthclient.Authentication
	client  *oauthclient.Client
	timeout time.Duration
	slots   chan struct{}
	waiting crowd // for an answer

	// strangerSlots and strangers are the share of the two above that requests
	// may take whose token was not seen good before.
	strangerSlots chan struct{}
	strangers     crowd
	good          goodTokens

	// macKey keys the hashes of tokens. The caches belong to one issuer, one
	// endpoint and one client, so the token is all that need be hashed.
	macKey           [sha256.Size]byte
	active, inactive *answerCache

	mu      sync.Mutex
	asking  map[tokenHash]*question
	failing bool
	// failureLogged says that the log tells of a failure that lasts; causes are
	// those that it has told of since causesSince.
	failureLogged bool
	causes        map[string]struct{}
	causesSince   time.Time
}

func newIntrospector(i *Issuer, c Config, o Options, client *oauthclient.Client) (*introspector, error) {
	auth, err := newAuthentication(*c.Introspect, c.Issuer, o)
	if err != nil {
		return nil, err
	}
	n := &introspector{
		issuer: i, config: *c.Introspect, auth: auth, client: client, timeout: time.Duration(c.Timeout),
		slots: make(chan struct{}, maxQuestions), waiting: crowd{limit: maxCrowd},
		strangerSlots: make(chan struct{}, maxStrangerQuestions), strangers: crowd{limit: maxStrangers},
		good:   newGoodTokens(maxGoodTokens),
		active: newAnswerCache(maxActiveCost), inactive: newAnswerCache(maxInactive),
		asking: make(map[tokenHash]*question), causes: make(map[string]struct{}),
	}
	if _, err := io.ReadFull(o.Rand, n.macKey[:]); err != nil {
		return nil, fmt.Errorf("reading randomness: %w", err)
	}
	return n, nil
}

// isOpaque reports whether raw has the shape of a bearer token at all (RFC
// 6750, section 2.1: b64token); nothing else is worth a question.
func isOpaque(raw string) bool {
	text := strings.TrimRight(raw, "=")
	if text == "" || len(raw) > maxTokenBytes {
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

// ask returns the endpoint's answer about a token: a kept one, or that of the
// question under way, or a new one. verified says that the token has proven
// itself already, so that nobody can have made it up. Errors wrap ErrInactive,
// ErrUnavailable or are those of the context.
func (n *introspector) ask(ctx context.Context, raw string, verified bool) (*answer, error) {
	if !isOpaque(raw) {
		return nil, fmt.Errorf("not of a bearer token's shape: %w", ErrMalformed)
	}
	key := n.hash(raw)
	if a := n.kept(key); a != nil {
		n.issuer.observer.Introspected(n.issuer.name, IntrospectCached)
		return a.verdict()
	}
	a, err := n.askAnew(ctx, key, raw, verified || n.good.has(key))
	if err != nil {
		if errors.Is(err, ErrBusy) {
			n.issuer.observer.Introspected(n.issuer.name, IntrospectBusy)
		}
		return nil, err
	}
	return a.verdict()
}

// askAnew joins the question under way about a token or begins one. good says
// that the token may use the places that are kept for those seen good before.
func (n *introspector) askAnew(ctx context.Context, key tokenHash, raw string, good bool) (*answer, error) {
	if !good {
		if !n.strangers.join() {
			return nil, ErrBusy
		}
		defer n.strangers.leave()
	}
	if !n.waiting.join() {
		return nil, ErrBusy
	}
	defer n.waiting.leave()
	n.mu.Lock()
	q := n.asking[key]
	n.mu.Unlock()
	if q == nil {
		var err error
		if q, err = n.begin(ctx, key, raw, good); err != nil {
			return nil, err
		}
	}
	if err := n.wait(ctx, q.done); err != nil {
		return nil, err
	}
	return q.answer, q.err
}

func (a *answer) verdict() (*answer, error) {
	if !a.active {
		return nil, ErrInactive
	}
	return a, nil
}

func (n *introspector) hash(raw string) tokenHash {
	mac := hmac.New(sha256.New, n.macKey[:])
	_, _ = io.WriteString(mac, raw)
	return tokenHash(mac.Sum(nil))
}

func (n *introspector) kept(key tokenHash) *answer {
	now := n.issuer.clock()
	if a := n.active.get(key, now); a != nil {
		// A signed answer is worth no more than the keys it was signed with.
		if a.keySet == 0 || n.issuer.Current(a.keySet, now) {
			return a
		}
	}
	return n.inactive.get(key, now)
}

// begin starts a question as soon as one of the slots is free. It works
// under a deadline of its own: a client that leaves does not spoil the
// answer for those who wait as well.
func (n *introspector) begin(ctx context.Context, key tokenHash, raw string, good bool) (*question, error) {
	release, err := n.slot(ctx, good)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if q := n.asking[key]; q != nil {
		release()
		return q, nil
	}
	q := &question{done: make(chan struct{})}
	if a := n.kept(key); a != nil {
		release()
		q.answer = a
		close(q.done)
		return q, nil
	}
	if !n.issuer.life.spawn(func() { n.run(q, key, raw, release) }) { //nolint:contextcheck // detached, as said above
		release()
		return nil, ErrIntrospection
	}
	n.asking[key] = q
	return q, nil
}

// slot takes the slot of one question; who is not known to be good takes one of
// the strangers' first. It waits no longer than a question may last.
func (n *introspector) slot(ctx context.Context, good bool) (release func(), err error) {
	needed := []chan struct{}{n.strangerSlots, n.slots}
	if good {
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
			err = ErrBusy
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

// run is the body of a question.
func (n *introspector) run(q *question, key tokenHash, raw string, release func()) {
	a, cost, err := n.question(raw)
	switch {
	case err != nil:
	case a.active:
		a.token = key
		n.active.put(key, a, cost)
	default:
		n.good.remove(key)
		n.inactive.put(key, a, 1)
	}
	n.report(a, err)
	n.mu.Lock()
	defer n.mu.Unlock()
	q.answer, q.err = a, err
	delete(n.asking, key)
	release()
	close(q.done)
}

// report tells the observer, and the log when the state changes.
func (n *introspector) report(a *answer, err error) {
	outcome := IntrospectActive
	switch {
	case errors.Is(err, ErrIntrospectionRefused):
		outcome = IntrospectRefused
	case err != nil:
		outcome = IntrospectError
	case !a.active:
		outcome = IntrospectInactive
	}
	n.issuer.observer.Introspected(n.issuer.name, outcome)
	if !n.noteFailing(err) || n.issuer.life.ctx.Err() != nil {
		return
	}
	if err == nil {
		n.issuer.log.Info("introspection works again", "issuer", n.issuer.name)
		return
	}
	level := slog.LevelWarn
	if outcome == IntrospectRefused {
		level = slog.LevelError
	}
	n.issuer.log.Log(context.Background(), level, "introspection fails", "issuer", n.issuer.name, "outcome", outcome, "error", err.Error())
}

// noteFailing notes whether the last question failed and reports whether that is
// for the log: a cause that it has not told of yet, and the end of failing.
func (n *introspector) noteFailing(err error) bool {
	now := n.issuer.clock()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failing = err != nil
	if err == nil {
		ended := n.failureLogged
		n.failureLogged = false
		return ended
	}
	// A clock that was set back must not silence it for as long.
	if age := now.Sub(n.causesSince); !n.failureLogged && (age < 0 || age >= failureLogInterval) {
		clear(n.causes)
		n.causesSince = now
	}
	cause := err.Error()
	if _, told := n.causes[cause]; told || len(n.causes) == maxFailureCauses {
		return false
	}
	n.causes[cause] = struct{}{}
	n.failureLogged = true
	return true
}

// question asks the endpoint. A panic is a failed question.
func (n *introspector) question(raw string) (a *answer, cost int, err error) {
	defer func() {
		if p := recover(); p != nil {
			a, err = nil, fmt.Errorf("introspecting: panic: %w", ErrIntrospection)
		}
	}()
	ctx, cancel := context.WithTimeout(n.issuer.life.ctx, n.timeout)
	defer cancel()
	body, media, err := n.post(ctx, raw)
	if err != nil {
		return nil, 0, err
	}
	a, err = n.read(ctx, body, media)
	if err != nil {
		return nil, 0, err
	}
	// Decoded values take a few times the room of their text.
	return a, 4*len(body) + 512, nil
}

// post sends the question and gives the body of a 200 with its media type.
func (n *introspector) post(ctx context.Context, raw string) (body []byte, media string, err error) {
	form := url.Values{"token": {raw}, "token_type_hint": {"access_token"}}
	header := make(http.Header)
	if err := n.auth(form, header); err != nil {
		return nil, "", fmt.Errorf("introspecting: %w: %w", err, ErrIntrospection)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.config.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, "", fmt.Errorf("introspecting: %w", ErrIntrospection)
	}
	r.Header = header
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if n.config.Signed {
		r.Header.Set("Accept", mediaSigned)
	}
	res, err := n.client.Do(r, maxAnswer)
	if err != nil {
		return nil, "", fmt.Errorf("introspecting: %w: %w", detached(err), ErrIntrospection)
	}
	if res.Status != http.StatusOK {
		return nil, "", refusal(res.Status, res.Body)
	}
	media, _, err = mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		return nil, "", fmt.Errorf("introspecting: answer without a content type: %w", ErrIntrospection)
	}
	return res.Body, media, nil
}

// detached takes the identity of a context's end from an error: it was the
// question's own deadline that ended, not that of the request.
func detached(err error) error { return errors.New(err.Error()) }

// refusal tells a gateway that is not welcome from a server in trouble. A
// token of a kind that the server does not introspect is the former (RFC
// 7009, section 2.2.1): it says nothing about the token.
func refusal(status int, body []byte) error {
	code := ""
	if members, err := decodeObject(body); err == nil {
		code, _ = members["error"].(string)
	}
	switch {
	case code == "unsupported_token_type":
		return fmt.Errorf("introspecting: the server does not introspect tokens of this kind: %w", ErrIntrospectionRefused)
	case status == http.StatusUnauthorized, status == http.StatusForbidden,
		code == "invalid_client", code == "unauthorized_client":
		return fmt.Errorf("introspecting: the server refuses the gateway's credentials (status %d): %w", status, ErrIntrospectionRefused)
	}
	return fmt.Errorf("introspecting: status %d: %w", status, ErrIntrospection)
}

func (n *introspector) wait(ctx context.Context, done <-chan struct{}) error {
	t := time.NewTimer(n.timeout)
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for introspection: %w", ctx.Err())
	case <-t.C:
		return fmt.Errorf("waiting for introspection: %w", ErrIntrospection)
	}
}
