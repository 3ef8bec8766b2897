package enrich

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

// ExplainRequest says whose decision is to be explained: that of a token, or
// that of a made-up caller.
type ExplainRequest struct {
	// Token is a token as a client would send it. There is no sender to check: a
	// token that is bound is taken to come with its proof or certificate.
	Token string

	// Issuer is the configured name of an issuer, with Subject, Client and
	// Scopes of a principal who might come with a token of it. They are read
	// only without a Token.
	Issuer, Subject, Client string
	Scopes                  []string

	// Request is the request that is asked about, as far as it is known: host and
	// path. Nil leaves all requirements on the request open.
	Request *http.Request

	// Values shows the values of claims and attributes; without it only their
	// names and types are shown.
	Values bool
}

// Explanation is a decision with everything it rests on, for an operator. It
// never holds the token or a signed one.
type Explanation struct {
	Policy  string `json:"policy"`
	Outcome string `json:"outcome"`
	Allowed bool   `json:"allowed"`
	Status  string `json:"status,omitempty"`
	// Cause is the whole reason of a refusal, which clients are not shown.
	Cause string `json:"cause,omitempty"`

	Principal    *ExplainedPrincipal    `json:"principal,omitempty"`
	Record       *ExplainedRecord       `json:"record,omitempty"`
	Rules        []ExplainedRule        `json:"rules,omitempty"`
	Requirements []ExplainedRequirement `json:"requirements,omitempty"`
	Headers      []ExplainedHeader      `json:"headers,omitempty"`
	// Tokens are the places that signed tokens would go to.
	Tokens []string `json:"tokens,omitempty"`

	kind Kind // of the refusal
}

// Undecided reports whether the request could be neither allowed nor denied,
// because what the decision needs cannot be reached. A rule that ends in an
// error denies.
func (e *Explanation) Undecided() bool {
	return !e.Allowed && (e.kind == KindUnavailable || e.kind == KindInternal)
}

// ExplainedPrincipal is what the token says of its bearer.
type ExplainedPrincipal struct {
	Issuer         string   `json:"issuer"`
	Subject        string   `json:"subject,omitempty"`
	Client         string   `json:"client,omitempty"`
	ServiceAccount bool     `json:"machine,omitempty"`
	Scopes         []string `json:"scopes,omitempty"`
	// Bound says that the token is valid only with its DPoP proof or client
	// certificate, which explain does not check.
	Bound bool `json:"bound,omitempty"`
	// Claims are the values, or the types where values are not shown.
	Claims map[string]any `json:"claims,omitempty"`
	// Groups is how many groups the token brings; -1 where they are unknown.
	Groups int `json:"groups"`
	// GroupsUnknown says why they are unknown although the token speaks of them.
	GroupsUnknown string    `json:"groups_unknown,omitempty"`
	Expiry        time.Time `json:"expiry,omitzero"`
}

// ExplainedRecord is what the directory says.
type ExplainedRecord struct {
	Person string `json:"person"`
	// PersonAge, AppAge and AppUserAge are the whole seconds since the fetch;
	// nil where nothing was fetched.
	PersonAge  *int64               `json:"person_age_seconds,omitempty"`
	UserStatus string               `json:"user_status,omitempty"`
	UserOrigin *identity.UserOrigin `json:"user_origin,omitempty"`
	Attributes []ExplainedAttribute `json:"attributes,omitempty"`
	// Groups is their number; -1 where they are unknown. GroupsUnknown says why,
	// where a directory or the token has something of groups.
	Groups        int    `json:"groups"`
	GroupsUnknown string `json:"groups_unknown,omitempty"`
	// GroupOrigins says how many of them, in their order, came from which
	// directory.
	GroupOrigins  []identity.GroupOrigin `json:"group_origins,omitempty"`
	GroupNames    []string               `json:"group_names,omitempty"`
	LeftOut       []string               `json:"left_out,omitempty"`
	App           string                 `json:"app"`
	AppID         string                 `json:"app_id,omitempty"`
	AppOrigin     string                 `json:"app_origin,omitempty"`
	AppAge        *int64                 `json:"app_age_seconds,omitempty"`
	AppUser       string                 `json:"app_user"`
	AppUserOrigin string                 `json:"app_user_origin,omitempty"`
	AppUserAge    *int64                 `json:"app_user_age_seconds,omitempty"`
}

// ExplainedAttribute is one attribute of the user's profile.
type ExplainedAttribute struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Origin string `json:"origin,omitempty"`
	// Age is the whole seconds since the fetch.
	Age   *int64 `json:"age_seconds,omitempty"`
	Value any    `json:"value,omitempty"`
}

// ExplainedRule is the result of one claim rule.
type ExplainedRule struct {
	Claim  string `json:"claim"`
	Result string `json:"result"`
	Error  string `json:"error,omitempty"`
	Type   string `json:"type,omitempty"`
	Value  any    `json:"value,omitempty"`
	// Considered and Kept count groups, for group rules; KeptIDs are the ids
	// of those that were kept.
	Considered int      `json:"groups_considered,omitempty"`
	Kept       int      `json:"groups_kept,omitempty"`
	KeptIDs    []string `json:"groups_kept_ids,omitempty"`
	Truncated  int      `json:"groups_cut_off,omitempty"`
}

// ExplainedRequirement is one require expression.
type ExplainedRequirement struct {
	Expression string `json:"expression"`
	// Result is true, false, an error, or "depends on the request".
	Result string `json:"result"`
}

// ExplainedHeader is one header that the application would receive.
type ExplainedHeader struct {
	Name   string   `json:"name"`
	Claim  string   `json:"claim"`
	Bytes  int      `json:"bytes"`
	Values []string `json:"values,omitempty"`
}

// Explain takes a made-up request through the stages of a policy and returns
// what each of them found. It decides anew, caches nothing and signs nothing.
// The error is for a request that names no principal; a refusal is an answer.
func (g *Gateway) Explain(ctx context.Context, p *Policy, q ExplainRequest) (*Explanation, error) {
	verified, err := g.assume(ctx, p, q)
	e := &Explanation{Policy: p.name}
	var refusal *Refusal
	if errors.As(err, &refusal) {
		e.refused(refusal)
		return e, nil
	}
	if err != nil {
		return nil, err
	}
	e.Principal = explainPrincipal(verified.Principal, q.Values)
	now := g.Clock()
	ev := g.newEvaluation(p, verified, q.Token, now)
	err = ev.run(ctx)
	d := ev.decision(err)
	if err == nil || d.denial != nil {
		err = g.check(explainCheck(p, d, q.Request, now))
	}
	for i := 0; err == nil && i < len(p.tokens); i++ {
		err = refuseSigning(p.tokens[i].template.Check(d.signingRequest(now)))
	}
	e.Status = d.status
	e.Record = explainRecord(&ev.record, q.Values, now)
	e.Rules = explainRules(&ev.rules, q.Values)
	if ev.context != nil {
		e.Requirements = p.requirements.explain(ev.requirementInput(), q.Request)
	}
	if errors.As(err, &refusal) {
		e.refused(refusal)
		return e, nil
	}
	e.Allowed, e.Outcome = true, OutcomeAllowed
	for _, f := range d.rendered.Fields() {
		h := ExplainedHeader{Name: f.Name, Claim: f.Claim, Bytes: f.Bytes}
		if q.Values {
			h.Values = f.Values
		}
		e.Headers = append(e.Headers, h)
	}
	for _, t := range p.tokens {
		if t.target.Cookie != "" {
			e.Tokens = append(e.Tokens, "cookie "+t.target.Cookie)
		} else {
			e.Tokens = append(e.Tokens, "header "+t.target.Header)
		}
	}
	return e, nil
}

// explainCheck returns the checks of a decision on the request that is asked
// about, as far as that is known.
func explainCheck(p *Policy, d *Decision, r *http.Request, now time.Time) requestCheck {
	c := requestCheck{policy: p, decision: d, now: now, request: r}
	if r != nil {
		c.pathErr, c.requirements = CheckPath(r), p.requirements.known()
	}
	return c
}

// refused sets what a refusal says.
func (e *Explanation) refused(r *Refusal) {
	e.Outcome, e.kind = r.Kind.String(), r.Kind
	if r.Cause != nil {
		e.Cause = r.Cause.Error()
	}
}

// assume returns the principal that the question is about: that of its token,
// whose sender is not checked, or a made-up one.
func (g *Gateway) assume(ctx context.Context, p *Policy, q ExplainRequest) (*issuer.Verified, error) {
	if q.Token != "" {
		v, err := g.Issuers.VerifyWithoutSender(ctx, q.Token, p.definition.Issuers)
		if err != nil {
			return nil, refuseToken(err)
		}
		return v, nil
	}
	is := g.Issuers.Issuer(q.Issuer)
	if is == nil || q.Subject == "" {
		return nil, errors.New("name a token, or an issuer and a subject")
	}
	if len(p.definition.Issuers) > 0 && !slices.Contains(p.definition.Issuers, q.Issuer) {
		return nil, refuse(KindInvalidToken, issuer.ErrUnknownIssuer)
	}
	claims := map[string]any{"iss": is.Identifier(), "sub": q.Subject}
	if q.Client != "" {
		claims["client_id"] = q.Client
	}
	now := g.Clock()
	return &issuer.Verified{Issuer: is, Principal: &identity.Principal{
		Issuer: is.Identifier(), IssuerName: is.Name(), Subject: q.Subject, Client: q.Client, ServiceAccount: q.Subject == q.Client,
		Scopes: q.Scopes, Claims: claims, IssuedAt: now, Expiry: now.Add(time.Hour),
	}}, nil
}

func explainPrincipal(p *identity.Principal, values bool) *ExplainedPrincipal {
	e := &ExplainedPrincipal{
		Issuer: p.IssuerName, Client: p.Client, ServiceAccount: p.ServiceAccount, Scopes: p.Scopes, Bound: p.Confirmation.Bound(),
		Claims: make(map[string]any, len(p.Claims)), Groups: -1, GroupsUnknown: p.GroupsUnknown, Expiry: p.Expiry,
	}
	if p.GroupsKnown {
		e.Groups = len(p.Groups)
	}
	for name, v := range p.Claims {
		if values {
			e.Claims[name] = v
		} else {
			e.Claims[name] = shape(v)
		}
	}
	if values {
		e.Subject = p.Subject
	}
	return e
}

func explainRecord(r *LookupResult, values bool, now time.Time) *ExplainedRecord {
	e := &ExplainedRecord{
		Person: r.PersonState.String(), PersonAge: age(r.PersonFetched, now), Groups: -1,
		App: r.AppState.String(), AppAge: age(r.AppFetched, now),
		AppUser: r.AppUserState.String(), AppUserAge: age(r.AppUserFetched, now),
	}
	if r.App != nil {
		e.AppID, e.AppOrigin = r.App.ID, r.App.Origin
	}
	if r.AppUser != nil {
		e.AppUserOrigin = r.AppUser.Origin
	}
	if r.Person == nil {
		return e
	}
	e.LeftOut, e.GroupsUnknown = r.Person.LeftOut, r.Person.GroupsUnknown
	if r.Person.GroupsKnown {
		e.Groups, e.GroupOrigins = len(r.Person.Groups), r.Person.GroupOrigins
		for i := range r.Person.Groups {
			if values {
				e.GroupNames = append(e.GroupNames, r.Person.Groups[i].Name)
			}
		}
	}
	if u := r.Person.User; u != nil {
		e.UserStatus = u.Status
		if r.Person.UserOrigin != (identity.UserOrigin{}) {
			e.UserOrigin = &r.Person.UserOrigin
		}
		for _, name := range slices.Sorted(maps.Keys(u.Profile)) {
			a := ExplainedAttribute{Name: name, Type: shape(u.Profile[name]), Origin: r.Person.Origin[name], Age: e.PersonAge}
			if values {
				a.Value = u.Profile[name]
			}
			e.Attributes = append(e.Attributes, a)
		}
	}
	return e
}

// age returns the whole seconds since a fetch, or nil where there was none.
func age(fetched, now time.Time) *int64 {
	if fetched.IsZero() {
		return nil
	}
	seconds := max(int64(now.Sub(fetched)/time.Second), 0)
	return &seconds
}

func explainRules(rules *claim.Result, values bool) []ExplainedRule {
	list := make([]ExplainedRule, 0, len(rules.Outcomes))
	for _, o := range rules.Outcomes {
		e := ExplainedRule{Claim: o.Rule, Result: o.Reason.String()}
		if o.Err != nil {
			e.Error = o.Err.Error()
		}
		if o.Groups != nil {
			e.Considered, e.Kept, e.Truncated = o.Groups.Considered, len(o.Groups.Kept), o.Groups.Truncated
			if values {
				e.KeptIDs = o.Groups.Kept
			}
		}
		if o.Reason == claim.Emitted {
			e.Type = shape(rules.Claims[o.Rule])
			if values {
				e.Value = rules.Claims[o.Rule]
			}
		}
		list = append(list, e)
	}
	return list
}

// explain evaluates each requirement, those that read the request as far as
// that is known.
func (q *requirements) explain(in requirementInput, request *http.Request) []ExplainedRequirement {
	list := make([]ExplainedRequirement, 0, len(q.decision)+len(q.request))
	for _, r := range q.decision {
		e := ExplainedRequirement{Expression: r.String(), Result: "true"}
		if err := in.check(0, r); err != nil {
			e.Result = "false"
			if _, err := r.EvalBool(in.context); err != nil {
				e.Result = "error: " + err.Error()
			}
		}
		list = append(list, e)
	}
	known := q.known()
	for _, r := range q.request {
		e := ExplainedRequirement{Expression: r.String(), Result: "depends on the request"}
		if request != nil && slices.ContainsFunc(known, func(k requestRequirement) bool { return k.Program == r.Program }) {
			e.Result = "true"
			switch err := in.checkRequest(request, "", []requestRequirement{r}); {
			case denies(err):
				e.Result = "false"
			case err != nil:
				e.Result = "error: " + errors.Unwrap(err).Error()
			}
		}
		list = append(list, e)
	}
	return list
}

// shape returns the type of a value, and the length of text, lists and objects,
// without the value.
func shape(v any) string {
	switch x := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return fmt.Sprintf("string of %d bytes", len(x))
	case []any:
		return fmt.Sprintf("list of %d", len(x))
	case map[string]any:
		return fmt.Sprintf("object of %d", len(x))
	}
	return "number"
}
