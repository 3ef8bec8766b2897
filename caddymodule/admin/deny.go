package admin

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

	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

// Bounds of the time that an operator gives. Until it ends, a denial keeps its
// place in the purge log, and with it all records that come after.
const (
	MinDenyFor = time.Second
	MaxDenyFor = 30 * 24 * time.Hour
)

// DenialTarget names whose tokens are denied: exactly one of JTI, SID and User
// is set.
type DenialTarget struct {
	// JTI is the id of one token.
	JTI string `json:"jti,omitempty"`
	// SID is the id of a session.
	SID string `json:"sid,omitempty"`
	// User is a subject.
	User string `json:"user,omitempty"`
	// Issuer is the configured name of the tokens' issuer.
	Issuer string `json:"issuer,omitempty"`
}

// Claim returns the one claim and value that a target names; ok is false where
// it names none or several.
func (t DenialTarget) Claim() (claim, value string, ok bool) {
	for _, c := range [][2]string{{enrich.DenyTokenID, t.JTI}, {enrich.DenySession, t.SID}, {enrich.DenyUser, t.User}} {
		if c[1] != "" {
			claim, value = c[0], c[1]
		}
	}
	return claim, value, one(t.JTI != "", t.SID != "", t.User != "")
}

// DenyRequest is the body of POST /token_enrich/deny.
type DenyRequest struct {
	DenialTarget
	// For is how long the denial holds, as a duration such as 2h or 1d. Default:
	// caddymodule.DefaultDenyFor.
	For string `json:"for,omitempty"`
	// Reason is shown in the list. It is optional.
	Reason string `json:"reason,omitempty"`
}

// UndenyRequest is the body of DELETE /token_enrich/deny: an entry's id, or what
// was denied. Issuer may be omitted where one is configured.
type UndenyRequest struct {
	DenialTarget
	// ID is the id of an entry in the list.
	ID string `json:"id,omitempty"`
}

// NamesOne reports whether exactly one of ID, JTI, SID and User is set.
func (q UndenyRequest) NamesOne() bool {
	return one(q.ID != "", q.JTI != "", q.SID != "", q.User != "")
}

// Denial is one entry of the deny list. The list holds the hash of what is
// denied, which is not shown.
type Denial struct {
	// ID names the entry, on every node alike.
	ID string `json:"id"`
	// Kind is what the entry denies: jti, sid, user or unknown.
	Kind string `json:"kind"`
	// Until is when the denial ends, in UTC.
	Until time.Time `json:"until"`
	// Reason is the operator's own text.
	Reason string `json:"reason,omitempty"`
}

// DenialList is the answer of GET /token_enrich/deny: first the denial that ends
// first.
type DenialList struct {
	Entries []Denial `json:"entries"`
}

// DenyResult is the answer of POST /token_enrich/deny: the entry that was made.
type DenyResult struct {
	Denial
	Change
}

// UndenyResult is the answer of DELETE /token_enrich/deny: the entries that were
// removed.
type UndenyResult struct {
	DenialList
	Change
}

// newDenial returns a record of the deny list as an entry.
func newDenial(r purgelog.Record) Denial {
	return Denial{ID: r.ID(), Kind: caddymodule.DenialKind(r), Until: r.Until.UTC(), Reason: r.Reason}
}

// ParseDenyFor parses the time that a denial holds, from MinDenyFor to
// MaxDenyFor. Empty text means caddymodule.DefaultDenyFor. Its error begins with
// the name of the option, "for".
func ParseDenyFor(text string) (time.Duration, error) {
	if text == "" {
		return caddymodule.DefaultDenyFor, nil
	}
	d, err := caddy.ParseDuration(text)
	if err != nil {
		return 0, errors.New("for is not a duration such as 2h, 30m or 1d")
	}
	if d < MinDenyFor || d > MaxDenyFor {
		return 0, fmt.Errorf("for is %s; it must be from %s to %s", FormatDuration(d), FormatDuration(MinDenyFor), FormatDuration(MaxDenyFor))
	}
	return d, nil
}

// FormatDuration returns a duration as text, without minutes and seconds where
// both are zero: 25h instead of 25h0m0s.
func FormatDuration(d time.Duration) string { return strings.TrimSuffix(d.String(), "0m0s") }

// getDenials answers GET /token_enrich/deny.
func getDenials(r *request) (any, error) {
	records, err := r.app.Denials(r.Context())
	if err != nil {
		return nil, apiError(http.StatusServiceUnavailable, err)
	}
	return newDenialList(records), nil
}

// postDenial answers POST /token_enrich/deny.
func postDenial(r *request) (any, error) {
	var q DenyRequest
	if err := r.readJSON(&q); err != nil {
		return nil, err
	}
	claim, value, ok := q.Claim()
	if !ok {
		return nil, apiError(http.StatusBadRequest, errors.New("name exactly one of jti, sid and user"))
	}
	is, err := r.app.IssuerNamed(q.Issuer)
	if err != nil {
		return nil, apiError(http.StatusBadRequest, err)
	}
	d, err := ParseDenyFor(q.For)
	if err == nil {
		err = purgelog.CheckReason(q.Reason)
	}
	if err != nil {
		return nil, apiError(http.StatusBadRequest, err)
	}
	store, err := r.app.Store(r.Context())
	if err != nil {
		return nil, apiError(http.StatusServiceUnavailable, err)
	}
	entries, reach, err := store.Log().Deny(r.Context(), purgelog.Record{
		Name: store.KeyDeriver().DenialHash(is.Identifier(), claim, value), Until: time.Now().Add(d), Claim: claim, Reason: q.Reason,
	})
	change, err := newChange(reach, err)
	if err != nil {
		return nil, err
	}
	answer := DenyResult{newDenial(entries[0]), change}
	r.logDenial("denied", answer.Denial, change)
	return answer, nil
}

// deleteDenial answers DELETE /token_enrich/deny.
func deleteDenial(r *request) (any, error) {
	var q UndenyRequest
	if err := r.readJSON(&q); err != nil {
		return nil, err
	}
	claim, value, named := q.Claim()
	if !q.NamesOne() {
		return nil, apiError(http.StatusBadRequest, errors.New("name exactly one of id, jti, sid and user"))
	}
	if q.Issuer != "" && !named {
		return nil, apiError(http.StatusBadRequest, errors.New("issuer requires jti, sid or user"))
	}
	var is *issuer.Issuer
	if named {
		var err error
		if is, err = r.app.IssuerNamed(cmp.Or(q.Issuer, onlyIssuer(r.app))); err != nil {
			return nil, apiError(http.StatusBadRequest, err)
		}
	}
	records, err := r.app.Denials(r.Context())
	if err != nil {
		return nil, apiError(http.StatusServiceUnavailable, err)
	}
	store, err := r.app.Store(r.Context())
	if err != nil {
		return nil, apiError(http.StatusServiceUnavailable, err)
	}
	wanted := func(e purgelog.Record) bool { return e.ID() == q.ID }
	if named {
		name := store.KeyDeriver().DenialHash(is.Identifier(), claim, value)
		wanted = func(e purgelog.Record) bool { return e.Name == name }
	}
	records = slices.DeleteFunc(records, func(e purgelog.Record) bool { return !wanted(e) })
	if len(records) == 0 {
		return nil, apiError(http.StatusNotFound, errors.New("the deny list of this node has no such entry"))
	}
	change, err := newChange(store.Log().Undeny(r.Context(), records...))
	if err != nil {
		return nil, err
	}
	answer := UndenyResult{newDenialList(records), change}
	for _, e := range answer.Entries {
		r.logDenial("denial removed", e, change)
	}
	return answer, nil
}

// newDenialList returns records as a list of entries.
func newDenialList(records []purgelog.Record) DenialList {
	list := DenialList{Entries: make([]Denial, len(records))}
	for i, r := range records {
		list.Entries[i] = newDenial(r)
	}
	slices.SortFunc(list.Entries, func(a, b Denial) int {
		return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// onlyIssuer returns the name of the configured issuer, or nothing where there
// are several.
func onlyIssuer(app *caddymodule.App) string {
	if names := app.IssuerSet().Names(); len(names) == 1 {
		return names[0]
	}
	return ""
}

// logDenial logs a change of the deny list. It omits the reason, which may name
// a person.
func (r *request) logDenial(message string, e Denial, change Change) {
	r.log.Info(message, zap.String("entry", e.ID), zap.String("kind", e.Kind), zap.Time("until", e.Until),
		zap.String("nodes", change.Nodes), zap.String("remote", r.RemoteAddr))
}
