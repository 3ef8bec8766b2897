package enrich

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

func TestEachKindHasAStatusAWordAndATextForStrangers(t *testing.T) {
	words := map[string]Kind{}
	for i, row := range kinds {
		k := Kind(i) //nolint:gosec // a dozen
		if http.StatusText(row.status) == "" || row.status < 400 {
			t.Errorf("kind %d has status %d", i, row.status)
		}
		if row.word == "" || strings.Trim(row.word, "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("kind %d has the word %q", i, row.word)
		}
		if other, twice := words[row.word]; twice {
			t.Errorf("kinds %d and %d have the word %q", i, other, row.word)
		}
		words[row.word] = k
		if row.text == "" || strings.ToLower(row.text) != row.text {
			t.Errorf("kind %d has the text %q", i, row.text)
		}
		if row.word == OutcomeAllowed || row.word == OutcomeAnonymous {
			t.Errorf("kind %d has an outcome's word %q", i, row.word)
		}
		r := refuse(k, errors.New("alice@example.com"))
		if r.Error() != row.text || k.String() != row.word || k.Status() != row.status {
			t.Errorf("kind %d answers %q %q %d", i, r.Error(), k.String(), k.Status())
		}
		if (r.RetryAfter > 0) != (row.status == http.StatusServiceUnavailable) {
			t.Errorf("%s: Retry-After %s with status %d", k, r.RetryAfter, row.status)
		}
	}
	for kind, status := range map[Kind]int{
		KindInternal: 500, KindNoToken: 401, KindMalformedRequest: 400, KindInvalidToken: 401, KindInsufficientScope: 403,
		KindInsufficientAuthentication: 401, KindCrossOrigin: 403, KindDenied: 403, KindMissingUser: 403, KindUnavailable: 503,
		KindClaim: 500, KindHeader: 500, KindSessionEnded: 401, KindOtherLogin: 403,
	} {
		if kind.Status() != status {
			t.Errorf("%s has status %d, want %d", kind, kind.Status(), status)
		}
	}
}

// TestTheManualListsEachKind: the table of failures has a row for each word, with
// its status.
func TestTheManualListsEachKind(t *testing.T) {
	text, err := os.ReadFile("../docs/reference.md")
	if err != nil {
		t.Fatal(err)
	}
	for i := range kinds {
		k := Kind(i) //nolint:gosec // a dozen
		if row := fmt.Sprintf("\n| `%s` | %d", k, k.Status()); !strings.Contains(string(text), row) {
			t.Errorf("docs/reference.md has no row that begins with %q", row)
		}
	}
}

// TestStrangersLearnNothing: the body is one and the same for a bad signature,
// an expired token and a revoked one, and for an unknown user and a denied one.
func TestStrangersLearnNothing(t *testing.T) {
	r := newRig(t, options{})
	p := r.usual()
	good := r.token(enrichtest.Claims{"jti": "j-1"})
	r.deny(DenyTokenID, "j-1", time.Time{})
	invalid := []answer{
		r.ask(p, enrichtest.FlipSignature(good)), r.ask(p, good), r.ask(p, "no-token-at-all"),
		r.ask(p, r.token(enrichtest.Claims{"exp": 1})), r.ask(p, r.token(enrichtest.Claims{"aud": "api://other"})),
	}
	r.people.put("00u2eve", barred("SUSPENDED"))
	forbidden := []answer{
		r.ask(p, r.token(enrichtest.Claims{"sub": "nobody"})), r.ask(p, r.token(enrichtest.Claims{"sub": "00u2eve"})),
		r.ask(r.policy(PolicyDefinition{Require: []string{"1 == 2"}}), r.token()),
	}
	for _, list := range [][]answer{invalid, forbidden} {
		for _, a := range list {
			if a.err == nil || a.err.Error() != list[0].err.Error() {
				t.Errorf("%v, want the text %q", a.err, list[0].err)
			}
			var refusal, first *Refusal
			if errors.As(a.err, &refusal) && errors.As(list[0].err, &first) &&
				p.Challenge(refusal, issuer.Challenge{Scheme: "Bearer"}) != p.Challenge(first, issuer.Challenge{Scheme: "Bearer"}) {
				t.Errorf("challenges differ: %q", p.Challenge(refusal, issuer.Challenge{Scheme: "Bearer"}))
			}
		}
	}
}

func TestEachRefusalHasItsChallenge(t *testing.T) {
	bearerWay := issuer.Challenge{Scheme: "Bearer"}
	r := newRig(t, options{})
	plain := r.policy(PolicyDefinition{})
	full := r.policy(PolicyDefinition{Realm: "payroll", ResourceMetadata: "https://payroll.example.com/.well-known/oauth-protected-resource"})
	const tail = `, resource_metadata="https://payroll.example.com/.well-known/oauth-protected-resource"`
	for name, c := range map[string]struct {
		policy  *Policy
		refusal Refusal
		way     issuer.Challenge
		want    string
	}{
		"no token":            {plain, Refusal{Kind: KindNoToken}, bearerWay, `Bearer`},
		"no token, in full":   {full, Refusal{Kind: KindNoToken}, bearerWay, `Bearer realm="payroll"` + tail},
		"session ended":       {full, Refusal{Kind: KindSessionEnded}, bearerWay, `Bearer realm="payroll"` + tail},
		"other login":         {full, Refusal{Kind: KindOtherLogin}, bearerWay, ``},
		"malformed request":   {plain, Refusal{Kind: KindMalformedRequest}, bearerWay, `Bearer error="invalid_request"`},
		"invalid token":       {plain, Refusal{Kind: KindInvalidToken}, bearerWay, `Bearer error="invalid_token", error_description="The access token is not valid."`},
		"another error":       {plain, Refusal{Kind: KindInvalidToken, OAuthError: "use_dpop_nonce"}, issuer.Challenge{Scheme: "DPoP", Algorithms: "ES256 EdDSA"}, `DPoP error="use_dpop_nonce", error_description="The DPoP proof is not valid here.", algs="ES256 EdDSA"`},
		"for another scheme":  {plain, Refusal{Kind: KindInvalidToken, OAuthError: "invalid_dpop_proof"}, bearerWay, `Bearer`},
		"scope":               {full, Refusal{Kind: KindInsufficientScope, Scopes: []string{"pay", "audit"}}, bearerWay, `Bearer realm="payroll", error="insufficient_scope", scope="pay audit"` + tail},
		"class of login":      {plain, Refusal{Kind: KindInsufficientAuthentication, ACRValues: []string{"phr", "mfa"}}, bearerWay, `Bearer error="insufficient_user_authentication", acr_values="phr mfa"`},
		"age of login":        {plain, Refusal{Kind: KindInsufficientAuthentication, MaxAge: time.Hour}, bearerWay, `Bearer error="insufficient_user_authentication", max_age="3600"`},
		"denied":              {full, Refusal{Kind: KindDenied}, bearerWay, ``},
		"unknown user":        {full, Refusal{Kind: KindMissingUser}, bearerWay, ``},
		"unavailable":         {full, Refusal{Kind: KindUnavailable}, bearerWay, ``},
		"cross origin":        {full, Refusal{Kind: KindCrossOrigin}, bearerWay, ``},
		"a defect":            {full, Refusal{Kind: KindInternal}, bearerWay, ``},
		"a rule that failed":  {full, Refusal{Kind: KindClaim}, bearerWay, ``},
		"a header that is it": {full, Refusal{Kind: KindHeader}, bearerWay, ``},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.policy.Challenge(&c.refusal, c.way)
			if got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
			mustBeChallenge(t, got)
		})
	}
}

// TestAChallengeIsWellFormedWhateverIsConfigured: a realm is free text, and a
// quote in it must neither end the string nor add a parameter.
func TestAChallengeIsWellFormedWhateverIsConfigured(t *testing.T) {
	r := newRig(t, options{})
	for _, text := range []string{`Pay "roll"`, `back\slash`, `"`, `\`, `a", error="invalid_token`} {
		t.Run(text, func(t *testing.T) {
			p := r.policy(PolicyDefinition{Realm: text})
			got := p.Challenge(&Refusal{Kind: KindNoToken}, issuer.Challenge{Scheme: "Bearer"})
			params := mustBeChallenge(t, got)
			if len(params) != 1 || params["realm"] != text {
				t.Errorf("%s reads back as %q", got, params)
			}
		})
	}
	t.Run("required values", func(t *testing.T) {
		p := r.policy(PolicyDefinition{})
		got := p.Challenge(&Refusal{Kind: KindInsufficientAuthentication, ACRValues: []string{`urn:"x"`}}, issuer.Challenge{Scheme: "Bearer"})
		if params := mustBeChallenge(t, got); params["acr_values"] != `urn:"x"` {
			t.Errorf("%s reads back as %q", got, params)
		}
	})
}

// mustBeChallenge reads a challenge as RFC 9110, section 11.6.1 has it: a
// scheme, and parameters whose values are quoted strings.
func mustBeChallenge(t *testing.T, text string) map[string]string {
	t.Helper()
	params := map[string]string{}
	_, rest, ok := strings.Cut(text, " ")
	for first := true; ok && rest != ""; first = false {
		if !first {
			if rest, ok = strings.CutPrefix(rest, ", "); !ok {
				t.Fatalf("%s: no comma before %s", text, rest)
			}
		}
		name, value, found := strings.Cut(rest, `="`)
		if !found || name == "" || strings.ContainsAny(name, `" ,`) {
			t.Fatalf("%s: %s is no parameter", text, rest)
		}
		var b strings.Builder
		i := 0
		for ; i < len(value) && value[i] != '"'; i++ {
			if value[i] == '\\' {
				i++
			}
			if i == len(value) || value[i] < 0x20 || value[i] > 0x7e {
				t.Fatalf("%s: %s is no quoted string", text, value)
			}
			b.WriteByte(value[i])
		}
		if i >= len(value) {
			t.Fatalf("%s: a string that does not end", text)
		}
		if _, twice := params[name]; twice {
			t.Fatalf("%s: %s stands twice", text, name)
		}
		params[name] = b.String()
		rest = value[i+1:]
	}
	return params
}

func TestARefusalOfATokenCarriesWhatTheClientNeedsForAnother(t *testing.T) {
	r := newRig(t, options{issuer: func(c *issuer.Config) { c.DPoP, c.DPoPNonce = "require", true }})
	p := r.policy(PolicyDefinition{DPoP: true})
	key := enrichtest.NewDPoPKey(t, "ES256", r.Clock)
	good := r.token(enrichtest.Claims{"cnf": key.Confirmation()})
	req := bearer("")
	req.Header.Set("Authorization", "DPoP "+good)
	req.Header["Dpop"] = []string{key.Proof(http.MethodGet, "https://payroll.example.com/slips", good, nil)}
	a := r.send(p, req)
	a.mustBe(t, KindInvalidToken)
	var refusal *Refusal
	if !errors.As(a.err, &refusal) || refusal.OAuthError != "use_dpop_nonce" || refusal.DPoPNonce == "" {
		t.Errorf("refusal %+v", refusal)
	}
}
