// Package claim computes claims from a principal and its record: expressions
// in Okta's language, filters over the user's groups, and allow lists that
// say which groups one application may see. Rules are compiled and checked
// when the configuration loads; evaluating them does no I/O and keeps no
// state, so one Rules value serves every request.
package claim

// maxRules bounds how many rules one policy may hold. The largest claim set
// in practice has some dozens; a thousand is a generated file gone wrong.
const maxRules = 1000

// Definition is the configuration of one claim rule. Exactly one of
// Expression, Groups and AllowList is set.
//
// A rule is tried for each token in this order, and the first line that
// applies decides:
//
//   - the rule is inactive: no claim
//   - the token is of another kind than Token says: no claim
//   - Scopes is not empty and none of them was granted: no claim
//   - the rule reads a directory that could not be asked, and the policy goes
//     on without it: no claim
//   - the evaluation fails: OnError decides
//   - the value is null: no claim
//   - the value is an empty list: OnEmpty decides
//   - otherwise the claim has the value, as the JSON type it is
//
// "No claim" holds against the token too: a rule replaces the token's claim of
// its name whatever it gives, so that a claim which was refused here cannot
// come in through the token.
type Definition struct {
	// Name is the claim's name. A URI is allowed, as in
	// http://example.com/is_root. At most 255 bytes; control characters are
	// refused, and so is a name that another rule of the policy has.
	//
	// Names on which the validity, the audience, the binding or the
	// authentication of a token rests are reserved and refused in any
	// capitalisation, because applications read them as the issuer's word:
	//
	//   - iss sub aud exp nbf iat jti ver typ nonce at_hash c_hash s_hash
	//   - client_id cid azp uid active token_type token_use
	//   - scp authorization_details (a claim named scope is allowed)
	//   - acr amr auth_time sid idp idp_iss
	//   - cnf act may_act hotk mac_key
	//   - as_uri rpt rsi events toe _claim_names _claim_sources
	//
	// The further names that Okta keeps from its token hooks (group, role,
	// username, device_id and the like) are free here, as they are for Okta's
	// own custom claims; so is groups.
	Name string `json:"name"`

	// Expression is an expression in the Okta Expression Language, at most
	// 4,096 bytes. It may read user, groups, app, appuser, access.scope,
	// token.<claim> and claims.<name> of the rules above it; a name that no
	// rule above has is an error at load. An app or a user that the directory
	// does not know is null, and a property of null is an evaluation error.
	Expression string `json:"expression,omitempty"`

	// Groups emits those of the user's groups whose name matches.
	Groups *GroupFilter `json:"groups,omitempty"`

	// AllowList emits those of the user's groups whose id is listed.
	AllowList *AllowList `json:"allow_list,omitempty"`

	// Scopes limits the rule to tokens to which at least one of these scopes
	// was granted. Scopes are compared exactly. Default: any token.
	Scopes []string `json:"scopes,omitempty"`

	// OnError says what an evaluation error does: deny (the default) fails
	// the whole decision, which the client sees as 500 without detail; omit
	// leaves the claim out, and rules below see null in its place.
	OnError string `json:"on_error,omitempty"`

	// OnEmpty says what an empty list does: omit (the default) leaves the
	// claim out; emit writes the empty list. Null is always left out, and
	// an empty string is a value like any other.
	OnEmpty string `json:"on_empty,omitempty"`

	// Dialect is the dialect of every expression of this rule: classic,
	// identity_engine, or empty for both at once, which is the default. The
	// value of an allow list is an argument of a classic function and so takes
	// both where identity_engine is asked for.
	Dialect string `json:"dialect,omitempty"`

	// Status is active (the default) or inactive. An inactive rule is checked
	// like any other but writes no claim.
	Status string `json:"status,omitempty"`

	// Token says to which kind of incoming token the rule applies: access, id
	// or any (the default). A token with nonce, at_hash, c_hash or
	// token_use id is an ID token, every other one an access token.
	Token string `json:"token,omitempty"`
}

// GroupFilter emits those of the user's groups whose name matches, in the
// order of the user's own list in the directory, without removing duplicates.
// Groups that no directory provides are an evaluation error, never an empty
// list.
type GroupFilter struct {
	// Match is how the pattern is compared with a group's name:
	//
	//   - starts_with, equals, contains: ignoring case, by Unicode's simple
	//     case folding
	//   - regex: a regular expression in RE2 syntax
	//     (https://github.com/google/re2/wiki/Syntax) that must match the whole
	//     name, minding case
	Match string `json:"match"`

	// Pattern is what is compared, at most 1,024 characters. It is plain text
	// but for regex. The empty pattern starts every name and so lets every
	// group in; for equals and regex, where it would match nothing, it is an
	// error. Look-around and back references, which RE2 lacks, are refused at
	// load.
	Pattern string `json:"pattern"`

	// Types keeps only groups of these types: OKTA_GROUP, APP_GROUP,
	// BUILT_IN. A group without a type from the directory is then left out.
	// Default: every group.
	Types []string `json:"types,omitempty"`

	// Value is what is emitted of each group: name (the default) or id.
	Value string `json:"value,omitempty"`

	// Limit is the largest number of groups that may match. Default: 0, no
	// limit but that on the groups held for one user.
	Limit int `json:"limit,omitempty"`

	// OnLimit says what more matches than Limit do: error (the default) is an
	// evaluation error, on which OnError decides; truncate keeps the first
	// Limit groups.
	OnLimit string `json:"on_limit,omitempty"`
}

// AllowList emits those of the user's groups whose id is listed, in the order
// of the user's own list in the directory. A listed group that the user is not
// in is ignored. Exactly one of IDs and Expression is set.
type AllowList struct {
	// IDs are the group ids of a static list, at most 10,000. Ids are
	// compared exactly; they are not names.
	IDs []string `json:"ids,omitempty"`

	// Expression returns the ids of a dynamic list, for example
	// app.profile.groupallowlist: a list of strings, or one string with the
	// ids separated by commas. Null is an evaluation error, as is a list that
	// holds anything but strings; an empty list allows no group.
	Expression string `json:"expression,omitempty"`

	// Value is an expression that is evaluated for each group that is let
	// through, with group bound to it. Default: group.name. Other examples:
	// group.id, group.profile.description. A group for which it is null is
	// left out.
	Value string `json:"value,omitempty"`

	// Limit is the largest number of groups that may be let through. Default:
	// 0, no limit.
	Limit int `json:"limit,omitempty"`

	// OnLimit is error (the default) or truncate, as in GroupFilter.
	OnLimit string `json:"on_limit,omitempty"`
}

// The values of the options.
const (
	OnErrorDeny = "deny"
	OnErrorOmit = "omit"

	OnEmptyOmit = "omit"
	OnEmptyEmit = "emit"

	StatusActive   = "active"
	StatusInactive = "inactive"

	TokenAccess = "access"
	TokenID     = "id"
	TokenAny    = "any"

	MatchStartsWith = "starts_with"
	MatchEquals     = "equals"
	MatchContains   = "contains"
	MatchRegex      = "regex"

	ValueName = "name"
	ValueID   = "id"

	OnLimitError    = "error"
	OnLimitTruncate = "truncate"
)
