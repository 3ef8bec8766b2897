package admin

import (
	"errors"
	"net/http"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
)

// PurgeRequest is the body of POST /token_enrich/purge. Exactly one of User,
// Group, App and All is set.
type PurgeRequest struct {
	// User is a subject, user id, login or e-mail address.
	User string `json:"user"`
	// Issuer is the configured name of the user's issuer. It is optional and
	// only checked: what is cached is found by the user alone.
	Issuer string `json:"issuer"`
	// Group is the id of a group, whose members are purged.
	Group string `json:"group"`
	// App is the id of an app.
	App string `json:"app"`
	// All purges everything.
	All bool `json:"all"`
}

// NamesOne reports whether exactly one of User, Group, App and All is set.
func (q PurgeRequest) NamesOne() bool { return one(q.User != "", q.Group != "", q.App != "", q.All) }

// Change is the answer to a purge, and a part of the answer to a denial.
type Change struct {
	// Nodes says where it holds: "all", "this one" (without Redis), or this one
	// and the others later.
	Nodes string `json:"nodes"`
}

// postPurge answers POST /token_enrich/purge. The purge is written to the log that
// all nodes read; the answer does not wait for them. An id that is not cached is no
// error, since another node may hold it.
func postPurge(r *request) (any, error) {
	var q PurgeRequest
	if err := r.readJSON(&q); err != nil {
		return nil, err
	}
	store, err := r.app.Store(r.Context())
	if err != nil {
		return nil, apiError(http.StatusServiceUnavailable, err)
	}
	if !q.NamesOne() {
		return nil, apiError(http.StatusBadRequest, errors.New("name exactly one of user, group, app and all"))
	}
	if q.Issuer != "" {
		if q.User == "" {
			return nil, apiError(http.StatusBadRequest, errors.New("issuer requires user"))
		}
		if _, err := r.app.IssuerNamed(q.Issuer); err != nil {
			return nil, apiError(http.StatusBadRequest, err)
		}
	}
	if q.All {
		return newChange(store.PurgeAll(r.Context()))
	}
	ids := []cache.ID{{Kind: cache.UserID, Value: q.User}, {Kind: cache.GroupID, Value: q.Group}, {Kind: cache.AppID, Value: q.App}}
	ids = slices.DeleteFunc(ids, func(id cache.ID) bool { return id.Value == "" })
	return newChange(store.Purge(r.Context(), ids...))
}

// newChange returns the answer for records of the purge log. That Redis cannot
// be reached is no error, because the records hold here.
func newChange(reach purgelog.Propagation, err error) (Change, error) {
	if err != nil && !errors.Is(err, cache.ErrUnavailable) {
		return Change{}, apiError(http.StatusInternalServerError, err)
	}
	return Change{Nodes: caddymodule.Propagation(reach)}, nil
}
