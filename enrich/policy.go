package enrich

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
	"github.com/tokenenrich/caddy-token-enrich/enrich/pathreading"
	"github.com/tokenenrich/caddy-token-enrich/enrich/setting"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// PolicyDefinition is the configuration of one policy: where its token is, claim
// rules, requirements, what to forward. Its zero value is the strictest: each
// option that allows more is off.
type PolicyDefinition struct {
	// Name is the policy's name in metrics, logs and explain.
	Name string

	// Issuers are the names of the issuers whose tokens are accepted; nil means
	// all.
	Issuers []string

	// App is the id of the protected app; empty means the token's client.
	App string

	// TokenFrom are the places where a token may be; nil means Authorization with
	// the scheme Bearer.
	TokenFrom []token.Place

	// SessionCookie is the name of the cookie that holds the session of a login,
	// one more place for the identity of a request; empty means none. Unlike a
	// token in a cookie it never reaches the application.
	SessionCookie string

	// Logins are the configured names of the issuers whose sessions are accepted;
	// nil means none.
	Logins []string

	// PathReadings are the names of the readings of a path that matchers and
	// requirements must agree in; nil means all.
	PathReadings []string

	// AllowCrossOrigin accepts a token in a cookie also with unsafe cross-origin
	// requests and WebSocket upgrades.
	AllowCrossOrigin bool

	// Anonymous lets a request without a token pass, without identity.
	Anonymous bool

	// ContinueMissingUser and ContinueDirectoryError go on with the token's
	// claims where the user is unknown or the directory fails.
	ContinueMissingUser    bool
	ContinueDirectoryError bool

	// Claims are the claim rules in order.
	Claims []claim.Definition

	// MoreClaims says that further rules will follow Claims, which are not known
	// yet: a requirement may then read any claim.
	MoreClaims bool

	// Require are expressions that must all be true, else 403.
	Require []string

	// RequireScope are scopes that must all have been granted, else 403.
	RequireScope []string

	// RequireACR are the accepted values of acr; empty means any. MaxAge is
	// how long ago auth_time may be; 0 means any time (RFC 9470).
	RequireACR []string
	MaxAge     time.Duration

	// Forward says which headers the application receives.
	Forward forward.Definition

	// Tokens are the signed tokens that it receives.
	Tokens []mint.TokenDefinition

	// KeepToken leaves the incoming token on the request for the application.
	KeepToken bool

	// Realm and ResourceMetadata are those of challenges; empty means none.
	Realm            string
	ResourceMetadata string

	// DPoP adds the scheme DPoP beside Bearer to the places; set where one of
	// the issuers accepts DPoP tokens.
	DPoP bool
}

// Policy is a compiled PolicyDefinition. It is immutable and shared by all
// requests of its route.
type Policy struct {
	name         string
	definition   PolicyDefinition
	places       []token.Place
	rules        *claim.Rules
	requirements requirements
	readings     pathreading.Set
	headerPlan   *forward.HeaderPlan
	tokens       []signedToken
	reads        oktael.Inputs
	fingerprint  Fingerprint
	cookieToken  bool
	crossOrigin  *http.CrossOriginProtection
}

// Fingerprint is a hash of a configuration. Two configurations have the same
// one where their decisions may be shared.
type Fingerprint [sha256.Size]byte

// signedToken is one token that the policy forwards, and where it goes.
type signedToken struct {
	template *mint.Template
	target   forward.Target
}

// CompilePolicy compiles every part of a definition, each header and each
// expression once. Its error joins all that is wrong; each part of it says by
// a method SettingPaths, as [setting.Error] has, which setting it is about.
// Nothing of it needs the network.
func CompilePolicy(def PolicyDefinition) (*Policy, error) {
	p := &Policy{name: def.Name, definition: def, places: def.TokenFrom, crossOrigin: http.NewCrossOriginProtection()}
	var errs []error
	var err error
	if p.readings, err = pathreading.Parse(def.PathReadings); err != nil {
		errs = append(errs, setting.Wrap(fmt.Errorf("path_readings: %w", err), "path_readings"))
	}
	if p.rules, err = claim.Compile(def.Claims); err != nil {
		errs = append(errs, err)
	} else {
		p.reads = p.rules.Reads()
		var claims []string // nil: any
		if !def.MoreClaims {
			claims = append([]string{}, p.rules.Names()...)
		}
		for i, source := range def.Require {
			reads, err := p.requirements.add(source, claims, p.readings)
			if err != nil {
				errs = append(errs, setting.Wrap(err, setting.Index("require", i)))
			}
			p.reads |= reads
		}
	}
	targets, err := p.compileTokens(def.Tokens)
	if err != nil {
		errs = append(errs, err)
	}
	if p.headerPlan, err = forward.Compile(def.Forward, targets...); err != nil {
		errs = append(errs, err)
	} else if p.rules != nil {
		if err := p.headerPlan.CheckClaims(p.rules.Names()); err != nil {
			errs = append(errs, err)
		}
	}
	if err := p.compilePlaces(def); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	text, err := json.Marshal(def)
	if err != nil {
		return nil, fmt.Errorf("taking the policy's fingerprint: %w", err)
	}
	p.fingerprint = sha256.Sum256(text)
	return p, nil
}

// compilePlaces checks the places of the token. Where DPoP is accepted, one with
// the scheme DPoP is added beside one with the scheme Bearer (RFC 9449, section
// 7.1). The session's cookie comes last.
func (p *Policy) compilePlaces(def PolicyDefinition) error {
	if len(p.places) == 0 {
		p.places = token.DefaultPlaces()
	}
	session := token.Place{Kind: token.Cookie, Name: def.SessionCookie, Session: true}
	places := make([]token.Place, 0, len(p.places)+2)
	for i, place := range p.places {
		n, err := place.Normalize()
		if err != nil {
			return setting.Wrap(fmt.Errorf("token_from: %w", err), setting.Index("token_from", i))
		}
		if slices.ContainsFunc(places, n.Same) || n.Same(session) {
			return setting.Wrap(fmt.Errorf("token_from: duplicate source %s: %w", n, token.ErrPlace), setting.Index("token_from", i))
		}
		places = append(places, n)
		p.cookieToken = p.cookieToken || n.Kind == token.Cookie
	}
	for _, n := range slices.Clone(places) {
		if def.DPoP && n.Kind == token.Header && strings.EqualFold(n.Scheme, "Bearer") {
			n.Scheme = "DPoP"
			if !slices.ContainsFunc(places, n.Same) {
				places = append(places, n)
			}
		}
	}
	if def.SessionCookie != "" {
		if _, err := session.Normalize(); err != nil {
			return fmt.Errorf("session: %w", err)
		}
		places = append(places, session)
	}
	p.places = places
	return nil
}

// keeps reports whether what was found at a place stays on the request for the
// application, which never sees a session.
func (p *Policy) keeps(place *token.Place) bool { return p.definition.KeepToken && !place.Session }

// compileTokens compiles the tokens that the policy forwards and returns the
// places that they go to, which the policy owns; none where one is wrong.
func (p *Policy) compileTokens(defs []mint.TokenDefinition) ([]forward.Target, error) {
	var errs []error
	targets := make([]forward.Target, 0, len(defs))
	for i, def := range defs {
		t, err := mint.Compile(def)
		if err != nil {
			name := "token"
			if len(defs) > 1 {
				name = fmt.Sprintf("token %d", i+1)
			}
			errs = append(errs, setting.Wrap(fmt.Errorf("%s: %w", name, err), setting.Index("tokens", i)))
			continue
		}
		target := forward.Target{Header: t.Header(), Cookie: t.Cookie()}
		p.tokens = append(p.tokens, signedToken{template: t, target: target})
		targets = append(targets, target)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return targets, nil
}

// TokenLife returns the longest lifetime of a token that the policy forwards; 0
// where it forwards none.
func (p *Policy) TokenLife() time.Duration {
	var longest time.Duration
	for _, t := range p.tokens {
		longest = max(longest, t.template.TTL())
	}
	return longest
}

// Name returns the policy's name.
func (p *Policy) Name() string { return p.name }

// Rules returns the compiled claim rules, for check and explain.
func (p *Policy) Rules() *claim.Rules { return p.rules }

// HeaderPlan returns the compiled headers, for check and selftest.
func (p *Policy) HeaderPlan() *forward.HeaderPlan { return p.headerPlan }

// Readings returns the readings of a path that must come to one result.
func (p *Policy) Readings() pathreading.Set { return p.readings }

// Places returns where the policy looks for a token, normalized.
func (p *Policy) Places() []token.Place { return p.places }

// RequirementWarnings returns the expression compiler's warnings on
// requirements, for check.
func (p *Policy) RequirementWarnings() []oktael.Warning {
	var list []oktael.Warning
	for _, r := range p.requirements.all() {
		list = append(list, r.Warnings()...)
	}
	return list
}

// RequirementAttributes lists the attributes of a root ("user", "app" or
// "appuser") that requirements read by name, for check.
func (p *Policy) RequirementAttributes(root string) []string {
	all := p.requirements.all()
	list := make([]string, 0, len(all))
	for _, r := range all {
		list = append(list, r.Members(root)...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// ReadsHost reports whether a requirement reads request.host, which the caller
// chooses where the site's own host is not fixed.
func (p *Policy) ReadsHost() bool {
	return slices.ContainsFunc(p.requirements.request, func(q requestRequirement) bool { return q.ReadsMember("request", "host") })
}

// cacheable reports whether decisions under the policy may be used again, which
// they may not where a rule reads the clock.
func (p *Policy) cacheable() bool { return p.reads&oktael.InputClock == 0 }
