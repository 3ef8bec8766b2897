package okta

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
)

// This file finds the app of a client id.

const (
	// indexTTL is how long the list of clients is used, and so how long an
	// unknown client id costs no request.
	indexTTL = 10 * time.Minute

	// indexPages bounds the list: 50 pages of 200 apps.
	indexPages = 50
)

// A clientIndex knows the app of each client id that differs from the app's own
// id. The API cannot be queried by client id, so the list of all OpenID Connect
// apps is read, seldom and by one request at a time.
type clientIndex struct {
	turn    chan struct{} // a lock on the fields below, for which a context can wait
	apps    map[string]string
	fetched time.Time
}

// appOf returns the id of the app with this client id, where the two differ. An
// id in the form of Okta's own ids is an app's and no client's.
func (d *Directory) appOf(ctx context.Context, clientID string) (string, error) {
	unknown := fmt.Errorf("finding an app: %w", directory.ErrNotFound)
	if strings.HasPrefix(clientID, "0oa") {
		return "", unknown
	}
	x := &d.clients
	select {
	case x.turn <- struct{}{}:
		defer func() { <-x.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	// The list is read again too where the clock was set back.
	if now := d.clock(); x.apps == nil || now.Sub(x.fetched) >= indexTTL || now.Before(x.fetched) {
		apps, err := d.listClients(ctx)
		switch {
		case errors.Is(err, directory.ErrRefused), errors.Is(err, directory.ErrRejected):
			// The credentials can read single apps and not the list. That there
			// is no app of this id is known already.
			apps = map[string]string{}
		case err != nil:
			return "", err
		}
		x.apps, x.fetched = apps, now
	}
	if app, ok := x.apps[clientID]; ok && app != clientID {
		return app, nil
	}
	return "", unknown
}

// listClients returns the ids of all OpenID Connect apps by their client id.
func (d *Directory) listClients(ctx context.Context) (map[string]string, error) {
	apps := map[string]string{}
	next := "/apps?limit=200&filter=" + fetch.QueryValue(`name eq "oidc_client"`)
	// Links lead from page to page, on the same host only.
	for range indexPages {
		answer, err := d.get(ctx, kindApps, next, "")
		if err != nil {
			return nil, fmt.Errorf("listing apps: %w", err)
		}
		var page []app
		if err := answer.Decode(&page); err != nil {
			return nil, fmt.Errorf("listing apps: %w", err)
		}
		for i := range page {
			if client := page[i].Credentials.OAuthClient.ClientID; client != "" && page[i].ID != "" {
				apps[client] = page[i].ID
			}
		}
		if next, err = answer.Next(); err != nil {
			return nil, fmt.Errorf("listing apps: %w", err)
		}
		if next == "" {
			return apps, nil
		}
	}
	return nil, fmt.Errorf("listing apps: over %d pages: %w", indexPages, directory.ErrTooLarge)
}
