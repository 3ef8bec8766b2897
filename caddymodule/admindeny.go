package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

// The deny list at the admin endpoint.

// Bounds of the time that an operator gives. A denial holds its place in the
// log, and all that comes after it, until it ends.
const (
	minDenyFor = time.Second
	maxDenyFor = 30 * 24 * time.Hour
)

// denialTarget names what is denied: one of jti, sid and user, and the
// configured name of the issuer.
type denialTarget struct {
	JTI    string `json:"jti,omitempty"`
	SID    string `json:"sid,omitempty"`
	User   string `json:"user,omitempty"`
	Issuer string `json:"issuer,omitempty"`
}

// claim returns the one claim and value that a target names; ok is false where
// it names none or several.
func (t denialTarget) claim() (claim, value string, ok bool) {
	for _, c := range [][2]string{{enrich.DenyTokenID, t.JTI}, {enrich.DenySession, t.SID}, {enrich.DenyUser, t.User}} {
		if c[1] != "" {
			claim, value = c[0], c[1]
		}
	}
	return claim, value, one(t.JTI != "", t.SID != "", t.User != "")
}

// denyRequest is what POST /token_enrich/deny takes.
type denyRequest struct {
	denialTarget
	// For is how long the denial holds, as a duration ("2h", "1d").
	For string `json:"for,omitempty"`
	// Reason is shown in the list.
	Reason string `json:"reason,omitempty"`
}

// undenyRequest is what DELETE /token_enrich/deny takes: an entry's id, or what
// was denied. The issuer may be omitted where there is one only.
type undenyRequest struct {
	denialTarget
	ID string `json:"id,omitempty"`
}

// denialEntry is one entry of the deny list, without the name that it hashes.
type denialEntry struct {
	ID     string    `json:"id"`
	Kind   string    `json:"kind"`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason,omitempty"`
}

// denialList is what GET /token_enrich/deny answers.
type denialList struct {
	Entries []denialEntry `json:"entries"`
}

// denied is what POST /token_enrich/deny answers.
type denied struct {
	denialEntry
	changed
}

// undenied is what DELETE /token_enrich/deny answers: what was taken back.
type undenied struct {
	denialList
	changed
}

// newDenialEntry shows a record of the deny list.
func newDenialEntry(r cache.Record) denialEntry {
	return denialEntry{ID: r.ID(), Kind: DenialKind(r), Until: r.Until.UTC(), Reason: r.Reason}
}

// parseDenyFor reads how long a denial is to hold.
func parseDenyFor(text string) (time.Duration, error) {
	if text == "" {
		return DefaultDenyFor, nil
	}
	d, err := caddy.ParseDuration(text)
	if err != nil {
		return 0, errors.New("for is not a duration, such as 2h, 30m or 1d")
	}
	if d < minDenyFor || d > maxDenyFor {
		return 0, fmt.Errorf("for is %s, and from %s to %s is possible", hours(d), hours(minDenyFor), hours(maxDenyFor))
	}
	return d, nil
}

// hours writes a duration without minutes and seconds that are none.
func hours(d time.Duration) string { return strings.TrimSuffix(d.String(), "0m0s") }

func (a *AdminAPI) deny(app *App, r *http.Request) (any, error) {
	var q denyRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	claim, value, ok := q.claim()
	if !ok {
		return nil, apiError(http.StatusBadRequest, errors.New("name exactly one of jti, sid and user"))
	}
	is, err := app.IssuerNamed(q.Issuer)
	if err != nil {
		return nil, apiError(http.StatusBadRequest, err)
	}
	d, err := parseDenyFor(q.For)
	if err == nil {
		err = cache.CheckReason(q.Reason)
	}
	if err != nil {
		return nil, apiError(http.StatusBadRequest, err)
	}
	store, err := app.Store(r.Context())
	if err != nil {
		return nil, apiError(http.StatusServiceUnavailable, err)
	}
	entries, reach, err := store.Log().Deny(r.Context(), cache.Record{
		Name: store.Keyer().Denial(is.Identifier(), claim, value), Until: time.Now().Add(d), Claim: claim, Reason: q.Reason,
	})
	nodes, err := reached(reach, err)
	if err != nil {
		return nil, err
	}
	answer := denied{newDenialEntry(entries[0]), nodes}
	a.auditDenial("denied", answer.denialEntry, nodes, r)
	return answer, nil
}

func (*AdminAPI) denials(app *App, r *http.Request) (any, error) {
	records, err := app.Denials(r.Context())
	if err != nil {
		return nil, apiError(http.StatusServiceUnavailable, err)
	}
	return newDenialList(records), nil
}

func (a *AdminAPI) undeny(app *App, r *http.Request) (any, error) {
	var q undenyRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	claim, value, named := q.claim()
	if !one(q.ID != "", q.JTI != "", q.SID != "", q.User != "") {
		return nil, apiError(http.StatusBadRequest, errors.New("name exactly one of id, jti, sid and user"))
	}
	if q.Issuer != "" && !named {
		return nil, apiError(http.StatusBadRequest, errors.New("issuer goes with jti, sid and user"))
	}
	var is *issuer.Issuer
	if named {
		var err error
		if is, err = app.IssuerNamed(cmp.Or(q.Issuer, onlyIssuer(app))); err != nil {
			return nil, apiError(http.StatusBadRequest, err)
		}
	}
	store, err := app.Store(r.Context())
	if err != nil {
		return nil, apiError(http.StatusServiceUnavailable, err)
	}
	records, err := app.Denials(r.Context())
	if err != nil {
		return nil, apiError(http.StatusServiceUnavailable, err)
	}
	wanted := func(e cache.Record) bool { return e.ID() == q.ID }
	if named {
		name := store.Keyer().Denial(is.Identifier(), claim, value)
		wanted = func(e cache.Record) bool { return e.Name == name }
	}
	records = slices.DeleteFunc(records, func(e cache.Record) bool { return !wanted(e) })
	if len(records) == 0 {
		return nil, apiError(http.StatusNotFound, errors.New("the deny list of this node has no such entry"))
	}
	reach, err := store.Log().Undeny(r.Context(), records...)
	nodes, err := reached(reach, err)
	if err != nil {
		return nil, err
	}
	answer := undenied{newDenialList(records), nodes}
	for _, e := range answer.Entries {
		a.auditDenial("denial taken back", e, nodes, r)
	}
	return answer, nil
}

// newDenialList shows records, the one that ends first in front.
func newDenialList(records []cache.Record) denialList {
	list := denialList{Entries: make([]denialEntry, len(records))}
	for i, r := range records {
		list.Entries[i] = newDenialEntry(r)
	}
	slices.SortFunc(list.Entries, func(a, b denialEntry) int {
		return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// onlyIssuer returns the name of the issuer where there is one, else nothing.
func onlyIssuer(app *App) string {
	if names := app.IssuerSet().Names(); len(names) == 1 {
		return names[0]
	}
	return ""
}

// auditDenial logs what an operator changed. The reason is left out: it may
// name a person.
func (a *AdminAPI) auditDenial(message string, e denialEntry, nodes changed, r *http.Request) {
	a.log.Info(message, zap.String("entry", e.ID), zap.String("kind", e.Kind), zap.Time("until", e.Until),
		zap.String("nodes", nodes.Nodes), zap.String("remote", r.RemoteAddr))
}
