package caddymodule

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// status is what GET /token_enrich/status answers. It names no person, no
// token and no secret.
type status struct {
	Issuers     []issuer.Status    `json:"issuers"`
	Directories []directory.Status `json:"directories"`
	Tiers       []cache.TierStatus `json:"tiers"`
	PurgeLog    *cache.LogStatus   `json:"purge_log,omitempty"`
	Decisions   decisionStatus     `json:"decisions"`
	Keys        *mint.Status       `json:"keys"`
	Policies    []string           `json:"policies"`
}

type decisionStatus struct {
	Entries int    `json:"entries"`
	Bytes   uint64 `json:"bytes"`
}

func (*AdminAPI) status(app *App, _ *http.Request) (any, error) {
	s := status{Issuers: []issuer.Status{}, Directories: []directory.Status{}, Tiers: []cache.TierStatus{}, Policies: []string{}}
	for _, i := range app.issuers.Issuers() {
		s.Issuers = append(s.Issuers, i.Status())
	}
	if app.directories != nil {
		s.Directories = app.directories.Status()
	}
	if store := app.store.peek(); store != nil {
		st := store.Status()
		s.Tiers, s.PurgeLog = st.Tiers, &st.Log
	}
	s.Decisions.Entries, s.Decisions.Bytes = app.decisions.Status()
	if app.signer != nil {
		k := app.signer.Status()
		s.Keys = &k
	}
	app.mu.Lock()
	defer app.mu.Unlock()
	for _, p := range app.policies {
		s.Policies = append(s.Policies, p.name)
	}
	return s, nil
}

// purgeRequest is what POST /token_enrich/purge takes: exactly one of its
// members.
type purgeRequest struct {
	User   string `json:"user"`
	Issuer string `json:"issuer"`
	Group  string `json:"group"`
	App    string `json:"app"`
	All    bool   `json:"all"`
}

// changed is what a purge or denial answers.
type changed struct {
	// Nodes says how far it got: "all", "this one" (without Redis), or this
	// one and the others later.
	Nodes string `json:"nodes"`
}

func (*AdminAPI) purge(app *App, r *http.Request) (any, error) {
	var q purgeRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	store, err := app.store.get(r.Context())
	if err != nil {
		return nil, apiError(http.StatusServiceUnavailable, err)
	}
	var ids []cache.ID
	named := 0
	for _, id := range []cache.ID{{Kind: cache.UserID, Value: q.User}, {Kind: cache.GroupID, Value: q.Group}, {Kind: cache.AppID, Value: q.App}} {
		if id.Value != "" {
			ids = append(ids, id)
			named++
		}
	}
	if q.All {
		named++
	}
	if named != 1 {
		return nil, apiError(http.StatusBadRequest, errors.New("name exactly one of user, group, app and all"))
	}
	if q.Issuer != "" {
		if q.User == "" {
			return nil, apiError(http.StatusBadRequest, errors.New("issuer goes with user"))
		}
		if _, err := app.issuerNamed(q.Issuer); err != nil {
			return nil, apiError(http.StatusBadRequest, err)
		}
	}
	var reach cache.Reach
	if q.All {
		reach, err = store.PurgeAll(r.Context())
	} else {
		reach, err = store.Purge(r.Context(), ids...)
	}
	return reached(reach, err)
}

// reached says how far records got. Where Redis cannot be reached they hold
// here, which is no error.
func reached(reach cache.Reach, err error) (changed, error) {
	if err != nil && !errors.Is(err, cache.ErrUnavailable) {
		return changed{}, apiError(http.StatusInternalServerError, err)
	}
	return changed{Nodes: reaches[reach]}, nil
}

// reaches are the words for how far a record of the log has got.
var reaches = map[cache.Reach]string{
	cache.ThisNode: "this one", cache.Pending: "this one, the others as soon as Redis can be reached", cache.AllNodes: "all",
}

// issuerNamed finds an issuer by its configured name. Its error does not say
// again what was sent, which may be the name of a person at the wrong place.
func (a *App) issuerNamed(name string) (*issuer.Issuer, error) {
	is := a.issuers.Issuer(name)
	if is != nil {
		return is, nil
	}
	names := a.issuers.Names()
	if name == "" {
		return nil, fmt.Errorf("issuer is missing: the configured name, one of %s", block.JoinOr(names))
	}
	return nil, fmt.Errorf("no issuer is configured by that name%s; there is %s", nearest.Hint(name, names), block.JoinOr(names))
}

func (*AdminAPI) keys(app *App, _ *http.Request) (any, error) {
	if app.signer == nil {
		return nil, apiError(http.StatusNotFound, errors.New("the running configuration signs no tokens"))
	}
	return app.signer.List(), nil
}

// rotateRequest is what POST /token_enrich/keys takes.
type rotateRequest struct {
	Rotate bool `json:"rotate"`
	// Now skips the overlap: the new key signs at once, for when the old one
	// is compromised.
	Now bool `json:"now"`
}

func (*AdminAPI) rotate(app *App, r *http.Request) (any, error) {
	var q rotateRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	if app.signer == nil {
		return nil, apiError(http.StatusNotFound, errors.New("the running configuration signs no tokens"))
	}
	if !q.Rotate {
		return nil, apiError(http.StatusBadRequest, errors.New(`say {"rotate": true}`))
	}
	if err := app.signer.Rotate(r.Context(), q.Now); err != nil {
		code := http.StatusServiceUnavailable
		if errors.Is(err, mint.ErrFixedKeys) {
			code = http.StatusConflict
		}
		return nil, apiError(code, err)
	}
	return app.signer.List(), nil
}
