package claim

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// Limits on what Import reads.
const (
	// maxImportBytes bounds the text. A claim with its links has well under a
	// kilobyte, so that this is room for maxRules of them.
	maxImportBytes = 1 << 20

	// MaxImportedExpression is the longest expression that Okta itself takes
	// for a claim, in characters.
	MaxImportedExpression = 1024
)

// ImportWarning is something that whoever imports claims should know though nothing is
// wrong.
type ImportWarning struct {
	// Claim is the claim's name; empty for a warning about the whole text.
	Claim string

	// Text is a sentence without the claim's name.
	Text string
}

// The members of a claim in Okta's Claims API, and the values of its enums.
const (
	memberName        = "name"
	memberStatus      = "status"
	memberClaimType   = "claimType"
	memberValueType   = "valueType"
	memberValue       = "value"
	memberGroupFilter = "group_filter_type"
	memberConditions  = "conditions"
	memberScopes      = "scopes"
	memberAlways      = "alwaysIncludeInToken"
	memberSystem      = "system"

	oktaActive     = "ACTIVE"
	oktaInactive   = "INACTIVE"
	oktaResource   = "RESOURCE"
	oktaIdentity   = "IDENTITY"
	oktaExpression = "EXPRESSION"
	oktaGroups     = "GROUPS"
	oktaSystem     = "SYSTEM"
)

// oktaMembers are all members that a claim may have. The last three are set by
// Okta and mean nothing outside it.
var oktaMembers = []string{
	memberName, memberStatus, memberClaimType, memberValueType, memberValue, memberGroupFilter,
	memberConditions, memberAlways, memberSystem, "id", "apiResourceId", "_links",
}

// Import turns claims in the JSON of Okta's Claims API, as GET
// /api/v1/authorizationServers/{id}/claims returns them, into claim rules: one
// object or a list of them, with or without the members that are read-only
// there. The rules come in the text's order. kind says which of Okta's claims
// are wanted: access (the default, when empty) takes those of claimType
// RESOURCE, id those of IDENTITY.
//
// What becomes of a claim:
//
//   - INACTIVE claims are left out.
//   - Claims that Okta made itself (system true, or valueType SYSTEM) are left
//     out with a warning.
//   - EXPRESSION claims become expressions, at most 1,024 characters as in
//     Okta.
//   - GROUPS claims become group filters over groups of the types OKTA_GROUP
//     and BUILT_IN, which are those that Okta's own filter sees. A blank value
//     lets all of them in. One slash at either end of a regular expression is
//     taken off.
//   - conditions.scopes become the rule's scopes.
//   - alwaysIncludeInToken decides in Okta whether an ID token that was issued
//     beside an access token has the claim; here it makes no difference.
//
// No limit is set on a filter. Okta fails a request whose filter matches more
// than 100 groups, but in the implicit flow and its kin only; for a token that
// came through an authorization code, as nearly every one does that reaches a
// gateway, there is none.
//
// A member or word that Okta does not know is an error, groupFilterType too:
// Okta refuses it, the member is group_filter_type. So is a name that two
// claims have, an expression that does not compile, and a regular expression
// that means another thing in RE2 than in Java. It finds all that is wrong at
// once: its error joins one *DefinitionError, which names the claim, for each
// bad claim.
func Import(jsonText []byte, kind string) ([]Definition, []ImportWarning, error) {
	var want string
	switch kind {
	case "", TokenAccess:
		want = oktaResource
	case TokenID:
		want = oktaIdentity
	default:
		return nil, nil, fmt.Errorf("choosing the claims to import: %w", oneOf(kind, TokenAccess, TokenID))
	}
	texts, err := claimTexts(jsonText)
	if err != nil {
		return nil, nil, fmt.Errorf("reading Okta claims: %w", err)
	}
	var (
		defs     []Definition
		warnings []ImportWarning
		wrong    []error
		seen     = make(map[string]bool, len(texts))
	)
	for i, text := range texts {
		c, err := readOktaClaim(text)
		if err != nil {
			wrong = append(wrong, inImport(err, i, c))
			continue
		}
		if c.claimType != want {
			continue
		}
		if c.system || c.valueType == oktaSystem {
			warnings = append(warnings, ImportWarning{c.name, "is set by Okta itself and was skipped; the token already has it"})
			continue
		}
		if c.status == oktaInactive {
			continue
		}
		if seen[c.name] {
			wrong = append(wrong, inImport(&fieldError{memberName, errors.New("duplicate active claim")}, i, c))
			continue
		}
		seen[c.name] = true
		d, err := c.definition()
		if err != nil {
			wrong = append(wrong, inImport(err, i, c))
			continue
		}
		defs = append(defs, d)
	}
	if len(wrong) > 0 {
		return nil, nil, errors.Join(wrong...)
	}
	if len(defs) == 0 {
		warnings = append(warnings, ImportWarning{Text: "the file has no active claim of claimType " + want})
	}
	return defs, warnings, nil
}

// claimTexts splits the text into claims.
func claimTexts(text []byte) ([]json.RawMessage, error) {
	if len(text) > maxImportBytes {
		return nil, fmt.Errorf("the text is longer than %d bytes", maxImportBytes)
	}
	if !utf8.Valid(text) {
		return nil, errors.New("the text is not valid UTF-8")
	}
	var whole json.RawMessage
	if err := identity.DecodeJSONInto(text, &whole); errors.Is(err, identity.ErrSeveralValues) {
		return nil, errors.New("more than one JSON value; put several claims into one list")
	} else if err != nil {
		return nil, err
	}
	switch whole[0] {
	case '{':
		return []json.RawMessage{whole}, nil
	case '[':
		var list []json.RawMessage
		if err := json.Unmarshal(whole, &list); err != nil {
			return nil, err
		}
		if len(list) > maxRules {
			return nil, fmt.Errorf("more than %d claims", maxRules)
		}
		return list, nil
	}
	return nil, errors.New("neither a claim nor a list of claims")
}

// oktaClaim is one claim as Okta describes it, checked for form.
type oktaClaim struct {
	name, status, claimType, valueType, value, groupFilter string
	scopes                                                 []string
	system                                                 bool
}

// fieldError is an error about one member of a claim.
type fieldError struct {
	field string
	err   error
}

func (e *fieldError) Error() string { return e.field + ": " + e.err.Error() }
func (e *fieldError) Unwrap() error { return e.err }

// inImport says in which claim an error arose.
func inImport(err error, index int, c *oktaClaim) error {
	de := &DefinitionError{Index: index, Err: err}
	if c != nil {
		de.Rule = c.name
	}
	if fe, ok := errors.AsType[*fieldError](err); ok {
		de.Field, de.Err = fe.field, fe.err
	}
	return de
}

// readOktaClaim reads one claim. With an error it returns what it read so far,
// for the claim's name.
func readOktaClaim(text json.RawMessage) (*oktaClaim, error) {
	c := &oktaClaim{}
	m, err := members(text)
	if err != nil {
		return c, err
	}
	// The name first, so that every further error can name it.
	if c.name, err = stringMember(m, memberName); err != nil {
		return c, err
	}
	if c.name == "" {
		return c, &fieldError{memberName, errors.New("is required")}
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if slices.Contains(oktaMembers, name) {
			continue
		}
		if name == "groupFilterType" {
			return c, &fieldError{name, errors.New("is a spelling that Okta rejects; write group_filter_type")}
		}
		return c, &fieldError{name, errors.New("is not a member of an Okta claim" + suggest.DidYouMean(name, oktaMembers))}
	}
	for _, e := range []struct {
		member string
		to     *string
		words  []string
	}{
		{memberStatus, &c.status, []string{oktaActive, oktaInactive}},
		{memberClaimType, &c.claimType, []string{oktaResource, oktaIdentity}},
		{memberValueType, &c.valueType, []string{oktaExpression, oktaGroups, oktaSystem}},
	} {
		if *e.to, err = stringMember(m, e.member); err != nil {
			return c, err
		}
		if !slices.Contains(e.words, *e.to) {
			return c, &fieldError{e.member, oneOf(*e.to, e.words...)}
		}
	}
	if c.system, err = boolMember(m, memberSystem); err != nil {
		return c, err
	}
	if _, err = boolMember(m, memberAlways); err != nil {
		return c, err
	}
	if c.value, err = stringMember(m, memberValue); err != nil {
		return c, err
	}
	if c.groupFilter, err = stringMember(m, memberGroupFilter); err != nil {
		return c, err
	}
	switch {
	case c.valueType == oktaGroups:
		words := []string{"STARTS_WITH", "EQUALS", "CONTAINS", "REGEX"}
		if !slices.Contains(words, c.groupFilter) {
			return c, &fieldError{memberGroupFilter, oneOf(c.groupFilter, words...)}
		}
		if _, ok := m[memberValue]; !ok {
			return c, &fieldError{memberValue, errors.New(`is required; "" matches every group`)}
		}
	case c.groupFilter != "":
		return c, &fieldError{memberGroupFilter, errors.New("belongs to claims of valueType GROUPS only")}
	}
	c.scopes, err = scopesMember(m)
	return c, err
}

// definition turns the claim into a rule.
func (c *oktaClaim) definition() (Definition, error) {
	d := Definition{Name: c.name, Scopes: c.scopes}
	if err := checkName(c.name); err != nil {
		return d, &fieldError{memberName, err}
	}
	if c.valueType == oktaExpression {
		if strings.TrimSpace(c.value) == "" {
			return d, &fieldError{memberValue, errors.New("an expression is required")}
		}
		if utf8.RuneCountInString(c.value) > MaxImportedExpression {
			return d, &fieldError{memberValue, fmt.Errorf("an expression has at most %d characters in Okta", MaxImportedExpression)}
		}
		// Which claims precede it is known when the policy is compiled.
		if _, err := oktael.Compile(c.value, oktael.Options{Inputs: readable}); err != nil {
			return d, &fieldError{memberValue, err}
		}
		d.Expression = c.value
		return d, nil
	}
	g := &GroupFilter{Pattern: c.value, Types: []string{identity.GroupTypeOkta, identity.GroupTypeBuiltIn}}
	switch {
	case strings.TrimSpace(c.value) == "":
		g.Match, g.Pattern = MatchStartsWith, ""
	case c.groupFilter == "STARTS_WITH":
		g.Match = MatchStartsWith
	case c.groupFilter == "EQUALS":
		g.Match = MatchEquals
	case c.groupFilter == "CONTAINS":
		g.Match = MatchContains
	default:
		g.Match = MatchRegex
		if n := len(c.value); n >= 2 && c.value[0] == '/' && c.value[n-1] == '/' {
			g.Pattern = c.value[1 : n-1]
		}
		if err := oktael.CheckJava(g.Pattern); err != nil {
			return d, &fieldError{memberValue, err}
		}
	}
	if _, _, err := compileFilter(g); err != nil {
		return d, &fieldError{memberValue, err}
	}
	d.Groups = g
	return d, nil
}
