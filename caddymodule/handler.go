package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/pathmatch"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/routes"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler is the policy in front of an application that cannot be changed. It
// validates the token of each request, looks up the user, the groups and the
// application's allow lists, computes claims, and hands them to the
// application as plain headers or as a new signed token. Requests that it
// refuses become errors with an HTTP status, which handle_errors can catch.
//
// It sets these placeholders, and what they hold is never expanded again:
//
// Placeholder | Description
// ------------|------------
// `{token_enrich.subject}` | The token's subject
// `{token_enrich.issuer}` | The configured name of the issuer
// `{token_enrich.client}` | The client that the token was issued to
// `{token_enrich.claims.<name>}` | A claim, computed or verified; lists and objects as JSON
// `{token_enrich.decision_id}` | Names the decision in logs
// `{token_enrich.reason}` | The class of a refusal
// `{token_enrich.status}` | fresh, stale, degraded or anonymous
// `{http.auth.user.id}` | The subject, with user_placeholder on
type Handler struct {
	// Which requests this policy decides. A request that no policy of the
	// site decides is scrubbed all the same. Default: every request.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`

	// The policy's name for metrics, logs and explain; unique in the
	// configuration. Default: policy-<n>, counted in the order of the
	// Caddyfile, or of the servers' names and their routes. Policies without
	// a name that are equal are one.
	Name string `json:"name,omitempty"`

	// The names of the issuers whose tokens are accepted. Default: all.
	Issuers []string `json:"issuers,omitempty"`

	// The names of the issuers at which people log in. A page that is asked for
	// without a session is redirected to the only one, or to a page to choose from.
	// The session is then one more place of the token. Default: no login.
	Login []string `json:"login,omitempty"`

	// Where the policies of this site log people in and out.
	login.Endpoints

	// The id of the protected application in the directory. Default: the
	// token's client id.
	App string `json:"app,omitempty"`

	// The sources that a token is read from. Two of them filled are a malformed
	// request, and so is what an application could read as such a header or
	// parameter; such a cookie is dropped. Default: Authorization with the
	// scheme Bearer.
	TokenFrom []token.Place `json:"token_from,omitempty"`

	// The readings of a path in which the matchers and requirements must come
	// to one result, else 400: all (default), or those that the application
	// knows besides the path as sent and the path decoded once. They are
	// encoded_slashes (%2F and %5C are slashes), backslashes (\ is a slash),
	// parameters (;x is cut off a segment), dot_segments (dot segments and empty
	// segments are kept, not only resolved), double_decoding (decoded a second
	// time), letter_case (letters folded), trailing_dots (dots, blanks and
	// controls cut off the end of a segment) and authority (what follows two
	// slashes at the beginning is a host).
	PathReadings []string `json:"path_readings,omitempty"`

	// What becomes of unsafe cross-origin requests and WebSocket upgrades
	// when the token came in a cookie: deny (default) or allow.
	CrossOrigin string `json:"cross_origin,omitempty"`

	// Let a request without a token go on, scrubbed and without identity. A
	// invalid token is refused all the same.
	Anonymous bool `json:"anonymous,omitempty"`

	// What to do with a user whom the directory does not know: deny (default)
	// or continue with the token's claims only.
	OnMissingUser string `json:"on_missing_user,omitempty"`

	// What to do while the directory fails and nothing usable is held: deny
	// (default, 503) or continue with the token's claims only.
	OnDirectoryError string `json:"on_directory_error,omitempty"`

	// The claim rules, in order; each may read the claims of those above it.
	Claims []ClaimRule `json:"claims,omitempty"`

	// Expressions that must all be true, else 403. One that reads request.*
	// is evaluated on every request.
	Require []string `json:"require,omitempty"`

	// Scopes that must all have been granted, else 403 insufficient_scope.
	RequireScope []string `json:"require_scope,omitempty"`

	// What the login must have been (RFC 9470).
	RequireACR *RequireACR `json:"require_acr,omitempty"`

	// The headers that the application receives, how their values are
	// written, and how large they may be in all.
	forward.Definition

	// The signed tokens that the application receives.
	Tokens []mint.TokenDefinition `json:"tokens,omitempty"`

	// Whether the incoming token reaches the application: drop (default) or
	// keep. Nothing else that the client sent to the places of tokens does.
	UpstreamToken string `json:"upstream_token,omitempty"`

	// The realm of the challenge in a refusal. Default: none.
	Realm string `json:"realm,omitempty"`

	// The identifier of this resource (RFC 9728). Its metadata is served at
	// its well-known path before any token check, and challenges point to it.
	Resource string `json:"resource,omitempty"`

	// The longest life of an upgraded or streaming request. It ends with its
	// token in any case. Default: the token's life.
	MaxConnection caddy.Duration `json:"max_connection,omitempty"`

	// Which decisions are logged: off (default), denied or all.
	LogDecision string `json:"log_decision,omitempty"`

	// How a logged decision names its subject: off (default), hash or plain.
	LogSubject string `json:"log_subject,omitempty"`

	// Set {http.auth.user.id} to the subject: on or off (default). It becomes
	// REMOTE_USER of php_fastcgi and user_id in access logs.
	UserPlaceholder string `json:"user_placeholder,omitempty"`

	// Examples that the check command tries.
	Tests []Test `json:"tests,omitempty"`

	text     string           // the configuration as JSON; loading changes the fields
	at       *block.Positions // of the options in the Caddyfile
	app      *App
	list     any // identifies the list of routes that the policy is in
	matchers caddyhttp.MatcherSets
	chooses  pathmatch.Matchers // the matchers, for each reading of a path
	policy   *policy
	logger   *zap.Logger
}

// ClaimRule is one claim rule, or a file with several.
type ClaimRule struct {
	*claim.Definition

	// A file with claims as Okta's Claims API exports them, whose rules are
	// inserted here in its order. Nothing else is set beside it.
	OktaClaims *OktaClaims `json:"okta_claims,omitempty"`
}

// OktaClaims is a file in the form of Okta's Claims API.
type OktaClaims struct {
	// The file: one claim object or a list of them.
	File string `json:"file"`

	// Which of its claims are taken: access (RESOURCE, the default) or id
	// (IDENTITY).
	Token string `json:"token,omitempty"`
}

// RequireACR demands a login of a certain strength or age (RFC 9470).
type RequireACR struct {
	// The accepted values of acr; one must be met. Empty: any.
	Values []string `json:"values,omitempty"`

	// How long ago the login (auth_time) may have been. Default: any time.
	MaxAge caddy.Duration `json:"max_age,omitempty"`
}

// enums are the options of one word out of a few.
func (h *Handler) enums() []block.Option {
	return []block.Option{
		block.Enum("cross_origin", &h.CrossOrigin, "deny", "allow"),
		block.Enum("on_missing_user", &h.OnMissingUser, "deny", "continue"),
		block.Enum("on_directory_error", &h.OnDirectoryError, "deny", "continue"),
		block.Enum("upstream_token", &h.UpstreamToken, "drop", "keep"),
		block.Enum("log_decision", &h.LogDecision, "off", "denied", "all"),
		block.Enum("log_subject", &h.LogSubject, "off", "hash", "plain"),
		block.Enum("user_placeholder", &h.UserPlaceholder, "on", "off"),
	}
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.token_enrich",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision compiles the policy and registers it with the app. It needs no
// network.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	var err error
	if h.app, err = LoadApp(ctx); err != nil {
		return err
	}
	if err := h.writeText(); err != nil {
		return err
	}
	raw := h.MatcherSetsRaw // which loading empties
	if http := routes.HTTPApp(ctx); http != nil && h.app.routes == nil {
		h.app.routes = readRoutes(http, settingsKey) // of its first policy
	}
	if h.Name == "" {
		h.Name = h.app.defaultNameOf(h.text)
	}
	h.list = routes.ListOf(ctx, h.text, settingsKey)
	sets, err := ctx.LoadModule(h, "MatcherSetsRaw")
	if err != nil {
		return fmt.Errorf("loading matchers: %w", err)
	}
	if err := h.matchers.FromInterface(sets); err != nil {
		return err
	}
	if h.policy, err = h.compile(ctx); err != nil {
		return fmt.Errorf("policy %q: %w", h.Name, err)
	}
	h.addLogin()
	if h.policy.compiled.ReadsHost() && !routes.HostIsFixed(ctx) {
		return fmt.Errorf("policy %q: a requirement reads request.host, but the site's address names no host, so a client can send any", h.Name)
	}
	if err := h.policy.compiled.CheckReads(h.app.unavailableFacts(h.accepted(h.app.known))); err != nil {
		return fmt.Errorf("policy %q: %w", h.policy.name, err)
	}
	h.chooses = pathmatch.New(h.matchers, raw, h.policy.compiled.Readings())
	for _, warning := range pathmatch.Warnings(ctx, raw) {
		h.logger.Warn(warning, zap.String("policy", h.Name))
		h.policy.warnings = append(h.policy.warnings, Warning{Policy: h.Name, Where: "matcher", Text: warning})
	}
	if err := h.app.register(h); err != nil {
		return err
	}
	return h.app.routes.check(stricter, endpointsOf, h.app.logger)
}

// writeText keeps the configuration as JSON, before loading changes it.
func (h *Handler) writeText() error {
	text, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encoding the policy: %w", err)
	}
	h.text = string(text)
	return nil
}

// ServeHTTP takes a request through the stages: the scrub, always; the others
// if the policy decides it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	state := h.app.scrub(r)
	state.count(h.app, h.policy.name)
	if served, err := h.policy.resource.Serve(w, r); served {
		return err
	}
	if h.serveLogin(w, r, state) {
		return nil
	}
	if first := state.decided; first != nil {
		if first.list != h.list && first.policy.name != h.policy.name {
			return h.refuseSecond(w, r, first)
		}
		return next.ServeHTTP(w, r)
	}
	if match, err := h.match(r, state); err != nil {
		return h.refuseMatch(w, r, err)
	} else if !match {
		h.setPlaceholders(r, nil, nil)
		return next.ServeHTTP(w, r)
	}
	g, version, decision, err := h.decide(r, state)
	if err != nil || decision.Principal == nil {
		h.scrubRefused(r)
	}
	h.setPlaceholders(r, decision, err)
	if err != nil {
		return h.refuse(w, r, decision, err)
	}
	h.logDecision(r, decision, nil)
	r, done, err := g.Track(r, decision, time.Duration(h.MaxConnection), version)
	if err != nil {
		h.scrubRefused(r)
		return h.refuse(w, r, decision, err)
	}
	defer done()
	// Not before: a policy in an error route decides for itself.
	state.decided = h
	state.visit.goOn(r, decision)
	streaming := &streamingWriter{
		ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, gateway: g, decision: decision, purgeVersion: version,
		visit: state.visit,
	}
	defer streaming.finish()
	return next.ServeHTTP(streaming, streaming.cancellable(r))
}

// match reports whether the policy decides the request. Its matchers read the
// request as the client sent it.
func (h *Handler) match(r *http.Request, state *requestState) (bool, error) {
	if len(h.matchers) == 0 {
		return true, nil
	}
	return state.attached(r, h.chooses.Match)
}

// refuseMatch refuses a request for which the matchers return an error.
func (h *Handler) refuseMatch(w http.ResponseWriter, r *http.Request, err error) error {
	h.scrubRefused(r)
	refusal, ok := errors.AsType[*enrich.Refusal](err)
	if !ok {
		return err
	}
	h.setPlaceholders(r, nil, refusal)
	return h.refuse(w, r, nil, refusal)
}

// scrubRefused deletes reserved names and credentials from a request that no
// policy has allowed: an error route may proxy it.
func (h *Handler) scrubRefused(r *http.Request) {
	stateOf(r).takeCredentials()
	reserved := h.app.owned.Load()
	reserved.Scrub(r)
	reserved.ScrubCredentials(r)
	dropQueryToken(r.URL, h.policy.compiled.Places())
	if sent, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		dropQueryToken(sent.URL, h.policy.compiled.Places())
	}
}

// decide takes the request through the gateway. version is that of the purge
// log before the decision. A gateway that is not ready yet is a 503 like
// anything else that cannot be reached.
func (h *Handler) decide(r *http.Request, state *requestState) (g *enrich.Gateway, version uint64, d *enrich.Decision, err error) {
	credentials := state.takeCredentials()
	if g, err = h.app.ready(r.Context()); err != nil {
		return nil, 0, nil, enrich.Unavailable(err)
	}
	info := enrich.RequestInfo{Credentials: credentials, Reserved: h.app.owned.Load()}
	if h.policy.site != nil {
		state.visit = h.newVisit(r, credentials)
		info.Session = &state.visit.Visit
	}
	info.ClientIP, _ = caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	if sent, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		info.URL = sent.URL
	}
	if info.URL != nil && (h.UpstreamToken != "keep" || info.URL.RawQuery != r.URL.RawQuery) {
		// php_fastcgi makes REQUEST_URI of the request as it came; a token that
		// a rewrite took out of it has not been verified.
		defer dropQueryToken(info.URL, h.policy.compiled.Places())
	}
	version = g.PurgeVersion()
	d, err = g.Enrich(r, h.policy.compiled, info)
	return g, version, d, err
}

// dropQueryToken takes the tokens at the policy's places out of a URL's query.
func dropQueryToken(u *url.URL, places []token.Place) {
	for i := range places {
		if u != nil && places[i].Kind == token.Query {
			token.Found{Place: &places[i]}.Drop(&http.Request{URL: u})
		}
	}
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
