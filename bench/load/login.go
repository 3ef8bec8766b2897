package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
)

// clientID is the gateway's at the provider.
const clientID = "gateway"

// provider is as much of an OpenID provider as one login takes. Nobody is asked: the
// code that the gateway brings is the nonce of its request.
type provider struct {
	minter *minter
	issuer string

	mu   sync.Mutex
	made int
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var answer map[string]any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer = map[string]any{
			"issuer": p.issuer, "authorization_endpoint": p.issuer + "/authorize", "token_endpoint": p.issuer + "/token", "jwks_uri": p.issuer + "/keys",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		}
	case "/token":
		p.mu.Lock()
		p.made++
		claims := p.minter.claims(p.made)
		p.mu.Unlock()
		claims["aud"], claims["nonce"] = clientID, r.FormValue("code")
		token, err := p.minter.sign("JWT", claims)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer = map[string]any{"access_token": "x", "token_type": "Bearer", "expires_in": 3600, "id_token": token}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// logIn logs a person in at a server and returns the Cookie header of the session.
func logIn(ctx context.Context, s *server) (string, error) {
	at, transaction, err := visit(ctx, s.url, "")
	if err != nil {
		return "", err
	}
	asked := at.Query()
	back := asked.Get("redirect_uri") + "?" + url.Values{"code": {asked.Get("nonce")}, "state": {asked.Get("state")}}.Encode()
	_, session, err := visit(ctx, back, transaction)
	return session, err
}

// logIns logs n people in and returns the headers of their requests.
func logIns(ctx context.Context, s *server, n int) ([]http.Header, error) {
	requests := make([]http.Header, n)
	for i := range requests {
		cookie, err := logIn(ctx, s)
		if err != nil {
			return nil, err
		}
		requests[i] = http.Header{"Cookie": {cookie}}
	}
	return requests, nil
}

// visit asks for a page as a browser does, and returns where it is redirected to with
// the cookie that it is given.
func visit(ctx context.Context, address, cookie string) (*url.URL, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, "", err
	}
	request.Header = http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Cookie": {cookie}}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return nil, "", err
	}
	at, err := response.Location()
	if err != nil {
		return nil, "", fmt.Errorf("logging in: %s answers %s: %w", request.URL.Path, response.Status, err)
	}
	for _, c := range response.Cookies() {
		if c.MaxAge >= 0 {
			return at, c.Name + "=" + c.Value, nil
		}
	}
	return nil, "", errors.New("logging in: no cookie was set")
}
