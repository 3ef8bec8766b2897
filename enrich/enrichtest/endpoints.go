package enrichtest

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// quietLog drops what net/http says of connections that a test cuts on
// purpose.
func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }

// serve counts, remembers, and hands over to the endpoint or its fault.
func (p *Provider) serve(w http.ResponseWriter, r *http.Request) {
	e, known := p.endpoint(r.URL.Path)
	if !known {
		http.NotFound(w, r)
		return
	}
	form := read(r)
	if r.Method == http.MethodGet && (e == Authorize || e == EndSession) {
		form = r.URL.Query()
	}
	p.mu.Lock()
	p.hits[e]++
	if len(p.seen[e]) < maxSeen {
		p.seen[e] = append(p.seen[e], Seen{Method: r.Method, Header: r.Header.Clone(), Form: form})
	}
	fault := p.faults[e].next()
	p.mu.Unlock()
	r.PostForm = form
	answer := func(w http.ResponseWriter, r *http.Request) { p.answer(e, w, r) }
	if fault != nil {
		fault(w, r, answer)
		return
	}
	answer(w, r)
}

// endpoint finds the endpoint behind the issuer's path. OAuth metadata stands
// in two places: behind the path as OpenID has it, and before it as RFC 8414,
// section 3.1 has it.
func (p *Provider) endpoint(path string) (Endpoint, bool) {
	prefix := strings.TrimSuffix(p.path, "/")
	if path == string(OAuthMetadata)+prefix {
		return OAuthMetadata, true
	}
	rest, found := strings.CutPrefix(path, prefix)
	switch e := Endpoint(rest); e {
	case Discovery, OAuthMetadata, KeySet, Introspection, Userinfo, Authorize, Token, PAR, EndSession:
		return e, found
	}
	return "", false
}

func (p *Provider) answer(e Endpoint, w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	document, scripted := p.documents[e]
	p.mu.Unlock()
	if scripted {
		w.Header().Set("Content-Type", "application/json")
		write(w, document)
		return
	}
	switch e {
	case Discovery, OAuthMetadata:
		respond(w, http.StatusOK, p.discoveryDocument())
	case KeySet:
		p.mu.Lock()
		set := p.keySetDocument()
		p.mu.Unlock()
		respond(w, http.StatusOK, set)
	case Introspection:
		p.serveIntrospection(w, r)
	case Userinfo:
		p.serveUserinfo(w, r)
	case Authorize:
		p.serveAuthorize(w, r)
	case Token:
		p.serveToken(w, r)
	case PAR:
		p.servePAR(w, r)
	case EndSession:
		p.serveEndSession(w, r)
	}
}

func (p *Provider) discoveryDocument() map[string]any {
	p.mu.Lock()
	edit := p.metadata
	algorithms := make([]string, 0, len(p.keys))
	for _, k := range p.keys {
		algorithms = append(algorithms, k.Algorithm)
	}
	p.mu.Unlock()
	document := map[string]any{
		"issuer":                                p.Issuer(),
		"authorization_endpoint":                p.URL(Authorize),
		"token_endpoint":                        p.URL(Token),
		"jwks_uri":                              p.URL(KeySet),
		"introspection_endpoint":                p.URL(Introspection),
		"userinfo_endpoint":                     p.URL(Userinfo),
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": algorithms,
	}
	if edit != nil {
		edit(document)
	}
	return document
}

// keySetDocument needs the provider's lock.
func (p *Provider) keySetDocument() map[string]any {
	entries := make([]any, 0, len(p.entries)+len(p.keys))
	for _, e := range p.entries {
		entries = append(entries, e)
	}
	for _, k := range p.keys {
		entries = append(entries, k.jwk)
	}
	return map[string]any{"keys": entries}
}

// Opaque makes an opaque token that introspection and userinfo know by the
// claims given, over those of every token.
func (p *Provider) Opaque(claims Claims) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.minted++
	token := fmt.Sprintf("opaque.%d", p.minted)
	base := merge(standardClaims(p.Issuer(), p.now(), fmt.Sprintf("token-%d", p.minted)), p.defaults)
	p.opaque[token] = merge(base, claims)
	return token
}

// Revoke makes introspection call an opaque token inactive.
func (p *Provider) Revoke(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.opaque, token)
}

// RequireClient makes introspection refuse callers that do not authenticate
// as one of the clients so named (client_secret_basic or client_secret_post).
func (p *Provider) RequireClient(id, secret string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clients[id] = secret
}

// OnIntrospect answers introspection by script instead: answer is marshalled
// as JSON unless it is a []byte, which is sent as it is.
func (p *Provider) OnIntrospect(answer func(token string, r *http.Request) (status int, answer any)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.introspect = answer
}

// SetPerson sets what userinfo says of a subject, next to sub.
func (p *Provider) SetPerson(subject string, claims Claims) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.people[subject] = merge(Claims{"sub": subject}, claims)
}

// OnUserinfo answers userinfo by script instead; see [Provider.OnIntrospect].
func (p *Provider) OnUserinfo(answer func(token string, r *http.Request) (status int, answer any)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.userinfo = answer
}

// serveIntrospection answers as RFC 7662 has it, and as a signed token
// (RFC 9701) where the caller accepts that.
func (p *Provider) serveIntrospection(w http.ResponseWriter, r *http.Request) {
	caller, secret, basic := r.BasicAuth()
	if !basic {
		caller, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	token := r.PostForm.Get("token")
	p.mu.Lock()
	script := p.introspect
	wanted, known := p.clients[caller]
	refused := len(p.clients) > 0 && (!known || wanted != secret)
	claims, active := p.opaque[token]
	k := p.keys[0]
	now := p.now()
	p.mu.Unlock()
	if script != nil {
		status, answer := script(token, r)
		respond(w, status, answer)
		return
	}
	if refused {
		respond(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	}
	answer := map[string]any{"active": active}
	if active {
		answer = merge(claims, Claims{"active": true, "token_type": "Bearer"})
	}
	if !prefersSigned(r.Header.Get("Accept")) {
		respond(w, http.StatusOK, answer)
		return
	}
	signed, err := MintWith(k, Claims{"iss": p.Issuer(), "aud": caller, "iat": now.Unix(), "token_introspection": answer},
		WithType("token-introspection+jwt"))
	if err != nil {
		respond(w, http.StatusInternalServerError, map[string]any{"error": "server_error"})
		return
	}
	w.Header().Set("Content-Type", signedAnswer)
	write(w, []byte(signed))
}

// signedAnswer is the media type of RFC 9701.
const signedAnswer = "application/token-introspection+jwt"

// prefersSigned reports whether an Accept header names the signed answer, and
// names it before plain JSON.
func prefersSigned(accept string) bool {
	at := strings.Index(accept, signedAnswer)
	plain := strings.Index(accept, "application/json")
	return at >= 0 && (plain < 0 || at < plain)
}

// serveUserinfo answers for an opaque token or for a JWT that one of the
// published keys signed (OpenID Connect Core, section 5.3).
func (p *Provider) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	p.mu.Lock()
	script := p.userinfo
	p.mu.Unlock()
	if script != nil {
		status, answer := script(token, r)
		respond(w, status, answer)
		return
	}
	subject := ""
	if bearer {
		subject = p.subjectOf(token)
	}
	if subject == "" {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		respond(w, http.StatusUnauthorized, map[string]any{"error": "invalid_token"})
		return
	}
	p.mu.Lock()
	answer, known := p.people[subject]
	p.mu.Unlock()
	if !known {
		answer = Claims{"sub": subject}
	}
	respond(w, http.StatusOK, answer)
}

func (p *Provider) subjectOf(token string) string {
	p.mu.Lock()
	claims, known := p.opaque[token]
	keys := p.keys
	p.mu.Unlock()
	if !known {
		signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{
			jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
			jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
		})
		if err != nil {
			return ""
		}
		for _, k := range keys {
			payload, err := signed.Verify(k.Public())
			if err != nil {
				continue
			}
			if json.Unmarshal(payload, &claims) == nil {
				break
			}
		}
	}
	subject, isText := claims["sub"].(string)
	if !isText {
		return ""
	}
	return subject
}

func respond(w http.ResponseWriter, status int, answer any) {
	body, raw := answer.([]byte)
	if !raw {
		var err error
		if body, err = json.Marshal(answer); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	write(w, body)
}

// write ignores what it cannot help: the other side has gone.
func write(w io.Writer, body []byte) { _, _ = w.Write(body) }
