package document

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/loopback"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// Resource is the metadata of a protected resource (RFC 9728): who issues the
// tokens that it takes, and how they are sent.
type Resource struct {
	path string // where it is served on the resource's own host, without a last slash
	url  string // the same in full, for challenges
	body []byte
}

// wellKnownResource is put between the host and the path of the resource's
// identifier (RFC 9728, section 3.1).
const wellKnownResource = "/.well-known/oauth-protected-resource"

// ParseResource parses a resource's identifier: an https URL without a fragment (RFC
// 9728, section 1.2), or an http URL of this machine.
func ParseResource(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback.Host(u.Hostname())) {
		return nil, fmt.Errorf("resource: %q is not an https URL without a fragment", text)
	}
	return u, nil
}

// ResourceDefinition is what the metadata of a resource is made of.
type ResourceDefinition struct {
	ID         string             // the identifier, placeholders expanded
	Issuers    []*issuer.Config   // whose tokens it takes
	Challenges []issuer.Challenge // how a request without a token is refused
	Places     []token.Place      // where a token is read from
	Scopes     []string           // the scopes that it demands
}

// NewResource returns the metadata of a resource, encoded once. Its errors begin with
// the option's name, resource.
func NewResource(def ResourceDefinition) (*Resource, error) {
	u, err := ParseResource(def.ID)
	if err != nil {
		return nil, err
	}
	// Only the slash that ends a bare host is taken off: that of a path is part
	// of the identifier, which clients read out of the metadata's own URL.
	well := *u
	if u.Path == "/" {
		well.Path = ""
	}
	well.Path = wellKnownResource + well.Path
	if u.RawPath != "" {
		well.RawPath = wellKnownResource + u.RawPath
	}
	meta := struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Methods  []string `json:"bearer_methods_supported,omitempty"`
		Scopes   []string `json:"scopes_supported,omitempty"`
		DPoP     []string `json:"dpop_signing_alg_values_supported,omitempty"`
		Bound    bool     `json:"dpop_bound_access_tokens_required,omitempty"`
		MTLS     bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	}{Resource: def.ID, Scopes: def.Scopes}
	for i, is := range def.Issuers {
		meta.Servers = append(meta.Servers, is.Issuer)
		meta.Bound = is.DPoP == "require" && (i == 0 || meta.Bound)
		meta.MTLS = is.MTLS == "require" && (i == 0 || meta.MTLS)
	}
	for _, way := range def.Challenges {
		meta.DPoP = append(meta.DPoP, strings.Fields(way.Algorithms)...)
	}
	for _, p := range def.Places {
		switch {
		case p.Kind == token.Header && strings.EqualFold(p.Name, "Authorization") && strings.EqualFold(p.Scheme, "Bearer"):
			meta.Methods = append(meta.Methods, "header")
		case p.Kind == token.Query && p.Name == "access_token":
			meta.Methods = append(meta.Methods, "query")
		}
	}
	body, err := json.Marshal(meta)
	if err != nil {
		return nil, fmt.Errorf("resource: %w", err)
	}
	return &Resource{path: strings.TrimSuffix(well.Path, "/"), url: well.String(), body: body}, nil
}

// URL returns where the metadata is served, in full, for challenges.
func (m *Resource) URL() string { return m.url }

// Serve answers the metadata's path; it needs no token. Clients differ in
// whether the resource's last slash is part of it, so both are answered.
func (m *Resource) Serve(w http.ResponseWriter, r *http.Request) (served bool, err error) {
	if m == nil || strings.TrimSuffix(r.URL.Path, "/") != m.path || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false, nil
	}
	w.Header().Set("Cache-Control", "public, max-age=3600")
	return true, Write(w, r, m.body)
}
