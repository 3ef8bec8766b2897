package caddymodule

import (
	"net/http"

	"github.com/tokenenrich/caddy-token-enrich/enrich"
)

// match asks the matchers whether the policy takes the request. They must
// answer alike for every reading of its path: to a Java application,
// "/admin;x/users" is "/admin/users", which the matcher "/admin/*" does not
// see. Where they differ, or the path can be read in two ways in itself, the
// error is a *enrich.Refusal.
func (h *Handler) match(r *http.Request) (bool, error) {
	if err := enrich.CheckPath(r.URL); err != nil {
		return false, err
	}
	readings := enrich.OtherReadings(r.URL.Path)
	others := make([]bool, len(readings))
	for i, reading := range readings {
		var err error
		if others[i], err = h.matchPath(r, reading); err != nil {
			return false, err
		}
	}
	// The path as it stands comes last, so that what matchers leave behind,
	// such as captures of path_regexp, is about it.
	match, err := h.matchers.AnyMatchWithError(r)
	if err != nil {
		return false, err
	}
	for _, other := range others {
		if other != match {
			return false, enrich.AmbiguousPath()
		}
	}
	return match, nil
}

// matchPath asks the matchers about another path. It stands in the request's
// own URL meanwhile, because expressions read it there through placeholders.
func (h *Handler) matchPath(r *http.Request, path string) (bool, error) {
	own := *r.URL
	defer func() { *r.URL = own }()
	r.URL.Path, r.URL.RawPath = path, ""
	return h.matchers.AnyMatchWithError(r)
}
