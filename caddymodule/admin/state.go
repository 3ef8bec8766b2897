package admin

import (
	"errors"
	"net/http"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
)

// status is what GET /token_enrich/status answers. It names no person, no
// token and no secret.
type status struct {
	Issuers     []issuer.Status    `json:"issuers"`
	Directories []directory.Status `json:"directories"`
	Tiers       []cache.TierStatus `json:"tiers"`
	PurgeLog    *purgelog.Status   `json:"purge_log,omitempty"`
	Decisions   decisionStatus     `json:"decisions"`
	Keys        *mint.Status       `json:"keys"`
	Policies    []string           `json:"policies"`
}

type decisionStatus struct {
	Entries int    `json:"entries"`
	Bytes   uint64 `json:"bytes"`
}

func (*API) status(app *caddymodule.App, _ *http.Request) (any, error) {
	s := status{Issuers: []issuer.Status{}, Directories: app.DirectoryStatus(), Tiers: []cache.TierStatus{}, Policies: []string{}}
	for _, i := range app.IssuerSet().Issuers() {
		s.Issuers = append(s.Issuers, i.Status())
	}
	if store := app.CurrentStore(); store != nil {
		st := store.Status()
		s.Tiers, s.PurgeLog = st.Tiers, &st.Log
	}
	s.Decisions.Entries, s.Decisions.Bytes = app.DecisionCache().Status()
	if signer := app.Signer(); signer != nil {
		k := signer.Status()
		s.Keys = &k
	}
	for _, h := range app.Policies() {
		s.Policies = append(s.Policies, h.Name)
	}
	return s, nil
}

// PurgeRequest is what POST /token_enrich/purge takes: exactly one of its
// members.
type PurgeRequest struct {
	User   string `json:"user"`
	Issuer string `json:"issuer"`
	Group  string `json:"group"`
	App    string `json:"app"`
	All    bool   `json:"all"`
}

// NamesOne reports whether exactly one of User, Group, App and All is set.
func (q PurgeRequest) NamesOne() bool { return one(q.User != "", q.Group != "", q.App != "", q.All) }

// Change is what a purge or denial answers.
type Change struct {
	// Nodes says how far it got: "all", "this one" (without Redis), or this
	// one and the others later.
	Nodes string `json:"nodes"`
}

func (*API) purge(app *caddymodule.App, r *http.Request) (any, error) {
	var q PurgeRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	store, err := app.Store(r.Context())
	if err != nil {
		return nil, apiError(http.StatusServiceUnavailable, err)
	}
	var ids []cache.ID
	for _, id := range []cache.ID{{Kind: cache.UserID, Value: q.User}, {Kind: cache.GroupID, Value: q.Group}, {Kind: cache.AppID, Value: q.App}} {
		if id.Value != "" {
			ids = append(ids, id)
		}
	}
	if !q.NamesOne() {
		return nil, apiError(http.StatusBadRequest, errors.New("name exactly one of user, group, app and all"))
	}
	if q.Issuer != "" {
		if q.User == "" {
			return nil, apiError(http.StatusBadRequest, errors.New("issuer goes with user"))
		}
		if _, err := app.IssuerNamed(q.Issuer); err != nil {
			return nil, apiError(http.StatusBadRequest, err)
		}
	}
	var reach purgelog.Propagation
	if q.All {
		reach, err = store.PurgeAll(r.Context())
	} else {
		reach, err = store.Purge(r.Context(), ids...)
	}
	return reached(reach, err)
}

// reached says how far records got. Where Redis cannot be reached they hold
// here, which is no error.
func reached(reach purgelog.Propagation, err error) (Change, error) {
	if err != nil && !errors.Is(err, cache.ErrUnavailable) {
		return Change{}, apiError(http.StatusInternalServerError, err)
	}
	return Change{Nodes: caddymodule.Propagation(reach)}, nil
}

func (*API) keys(app *caddymodule.App, _ *http.Request) (any, error) {
	if app.Signer() == nil {
		return nil, apiError(http.StatusNotFound, errors.New("the running configuration signs no tokens"))
	}
	return app.Signer().List(), nil
}

// RotateRequest is what POST /token_enrich/keys takes.
type RotateRequest struct {
	Rotate bool `json:"rotate"`
	// Now skips the overlap: the new key signs at once, for when the old one
	// is compromised.
	Now bool `json:"now"`
}

func (*API) rotate(app *caddymodule.App, r *http.Request) (any, error) {
	var q RotateRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	if app.Signer() == nil {
		return nil, apiError(http.StatusNotFound, errors.New("the running configuration signs no tokens"))
	}
	if !q.Rotate {
		return nil, apiError(http.StatusBadRequest, errors.New(`say {"rotate": true}`))
	}
	if err := app.Signer().Rotate(r.Context(), q.Now); err != nil {
		code := http.StatusServiceUnavailable
		if errors.Is(err, mint.ErrFixedKeys) {
			code = http.StatusConflict
		}
		return nil, apiError(code, err)
	}
	return app.Signer().List(), nil
}
