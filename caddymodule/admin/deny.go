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

// The deny list at the admin endpoint.

// Bounds of the time that an operator gives. A denial holds its place in the
// log, and all that comes after it, until it ends.
const (
	MinDenyFor = time.Second
	MaxDenyFor = 30 * 24 * time.Hour
)

// DenialTarget names what is denied: one of jti, sid and user, and the
// configured name of the issuer.
type DenialTarget struct {
	JTI    string `json:"jti,omitempty"`
	SID    string `json:"sid,omitempty"`
	User   string `json:"user,omitempty"`
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

// DenyRequest is what POST /token_enrich/deny takes.
type DenyRequest struct {
	DenialTarget
	// For is how long the denial holds, as a duration ("2h", "1d").
	For string `json:"for,omitempty"`
	// Reason is shown in the list.
	Reason string `json:"reason,omitempty"`
}

// UndenyRequest is what DELETE /token_enrich/deny takes: an entry's id, or what
// was denied. The issuer may be omitted where there is one only.
type UndenyRequest struct {
	DenialTarget
	ID string `json:"id,omitempty"`
}

// NamesOne reports whether exactly one of ID, JTI, SID and User is set.
func (q UndenyRequest) NamesOne() bool {
	return one(q.ID != "", q.JTI != "", q.SID != "", q.User != "")
}

// Denial is one entry of the deny list, without the name that it hashes.
type Denial struct {
	ID     string    `json:"id"`
	Kind   string    `json:"kind"`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason,omitempty"`
}

// DenialList is what GET /token_enrich/deny answers.
type DenialList struct {
	Entries []Denial `json:"entries"`
}

// DenyResult is what POST /token_enrich/deny answers.
type DenyResult struct {
	Denial
	Change
}

// UndenyResult is what DELETE /token_enrich/deny answers: what was taken back.
type UndenyResult struct {
	DenialList
	Change
}

// newDenial shows a record of the deny list.
func newDenial(r purgelog.Record) Denial {
	return Denial{ID: r.ID(), Kind: caddymodule.DenialKind(r), Until: r.Until.UTC(), Reason: r.Reason}
}

// ParseDenyFor reads how long a denial is to hold.
func ParseDenyFor(text string) (time.Duration, error) {
	if text == "" {
		return caddymodule.DefaultDenyFor, nil
	}
	d, err := caddy.ParseDuration(text)
	if err != nil {
		return 0, errors.New("for is not a duration, such as 2h, 30m or 1d")
	}
	if d < MinDenyFor || d > MaxDenyFor {
		return 0, fmt.Errorf("for is %s, and from %s to %s is possible", FormatDuration(d), FormatDuration(MinDenyFor), FormatDuration(MaxDenyFor))
	}
	return d, nil
}

// FormatDuration writes a duration without minutes and seconds that are none.
func FormatDuration(d time.Duration) string { return strings.TrimSuffix(d.String(), "0m0s") }

func (a *API) deny(app *caddymodule.App, r *http.Request) (any, error) {
	var q DenyRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	claim, value, ok := q.Claim()
	if !ok {
		return nil, apiError(http.StatusBadRequest, errors.New("name exactly one of jti, sid and user"))
	}
	is, err := app.IssuerNamed(q.Issuer)
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
	store, err := app.Store(r.Context())
	if err != nil {
		return nil, apiError(http.StatusServiceUnavailable, err)
	}
	entries, reach, err := store.Log().Deny(r.Context(), purgelog.Record{
		Name: store.KeyDeriver().DenialHash(is.Identifier(), claim, value), Until: time.Now().Add(d), Claim: claim, Reason: q.Reason,
	})
	nodes, err := reached(reach, err)
	if err != nil {
		return nil, err
	}
	answer := DenyResult{newDenial(entries[0]), nodes}
	a.auditDenial("denied", answer.Denial, nodes, r)
	return answer, nil
}

func (*API) denials(app *caddymodule.App, r *http.Request) (any, error) {
	records, err := app.Denials(r.Context())
	if err != nil {
		return nil, apiError(http.StatusServiceUnavailable, err)
	}
	return newDenialList(records), nil
}

func (a *API) undeny(app *caddymodule.App, r *http.Request) (any, error) {
	var q UndenyRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	claim, value, named := q.Claim()
	if !q.NamesOne() {
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
	wanted := func(e purgelog.Record) bool { return e.ID() == q.ID }
	if named {
		name := store.KeyDeriver().DenialHash(is.Identifier(), claim, value)
		wanted = func(e purgelog.Record) bool { return e.Name == name }
	}
	records = slices.DeleteFunc(records, func(e purgelog.Record) bool { return !wanted(e) })
	if len(records) == 0 {
		return nil, apiError(http.StatusNotFound, errors.New("the deny list of this node has no such entry"))
	}
	reach, err := store.Log().Undeny(r.Context(), records...)
	nodes, err := reached(reach, err)
	if err != nil {
		return nil, err
	}
	answer := UndenyResult{newDenialList(records), nodes}
	for _, e := range answer.Entries {
		a.auditDenial("denial taken back", e, nodes, r)
	}
	return answer, nil
}

// newDenialList shows records, the one that ends first in front.
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

// onlyIssuer returns the name of the issuer where there is one, else nothing.
func onlyIssuer(app *caddymodule.App) string {
	if names := app.IssuerSet().Names(); len(names) == 1 {
		return names[0]
	}
	return ""
}

// auditDenial logs what an operator Change. The reason is left out: it may
// name a person.
func (a *API) auditDenial(message string, e Denial, nodes Change, r *http.Request) {
	a.log.Info(message, zap.String("entry", e.ID), zap.String("kind", e.Kind), zap.Time("until", e.Until),
		zap.String("nodes", nodes.Nodes), zap.String("remote", r.RemoteAddr))
}
