package claim

// Result holds the claims that the rules of a policy computed for one decision.
// It never changes once it is returned.
type Result struct {
	// Claims are the claims that were emitted, as canonical values.
	Claims map[string]any

	// Computed holds the name of every rule, also of those without a value: the
	// token's claim of that name does not count. It is shared between results.
	Computed map[string]bool

	// Unknown holds the names of the rules that could not be tried because
	// the data they read, themselves or through another claim, were not to be
	// had, and of those that left their claim out because the user's groups
	// are unknown. These claims are not absent but unknown: a requirement that
	// reads one must fail. Nil where there is none.
	Unknown map[string]bool

	// Outcomes are what became of each rule, in the order of the rules.
	Outcomes []Outcome
}

// Outcome is what became of one rule, and why: explain and the tests of a policy
// show it.
type Outcome struct {
	// Rule is the claim's name.
	Rule string

	// Reason is Emitted, or why the claim was omitted.
	Reason Reason

	// Err is the evaluation error behind OmittedError and Failed; nil
	// otherwise.
	Err error

	// Groups is a group filter's or an allow list's choice; nil for
	// other rules and for rules that were not tried.
	Groups *GroupChoice
}

// GroupChoice describes which groups a rule let through.
type GroupChoice struct {
	// Considered is the number of the user's groups.
	Considered int

	// Listed is the number of ids in the allow list; zero for a filter.
	Listed int

	// Kept are the ids of the groups that were let through, in the order of
	// the user's groups; where a limit cut the list short, only those that
	// were kept.
	Kept []string

	// Truncated is the number of further groups that matched and that the
	// limit cut off.
	Truncated int
}

// Reason is what became of a rule.
type Reason uint8

// The reasons, in the order in which they are tried.
const (
	// Inactive: the rule is switched off.
	Inactive Reason = iota + 1
	// OtherToken: the token is of another kind than the rule's.
	OtherToken
	// ScopeNotGranted: none of the rule's scopes was granted.
	ScopeNotGranted
	// Skipped: the rule reads data that were not to be had.
	Skipped
	// OmittedError: the evaluation failed and the rule says omit.
	OmittedError
	// Failed: the evaluation failed, and with it the decision.
	Failed
	// Null: the value was null.
	Null
	// Empty: the value was an empty list and the rule does not say emit.
	Empty
	// Emitted: the claim has a value.
	Emitted
)

// String returns the words that explain and logs use.
func (r Reason) String() string {
	switch r {
	case Inactive:
		return "inactive"
	case OtherToken:
		return "other kind of token"
	case ScopeNotGranted:
		return "scope not granted"
	case Skipped:
		return "directory not available"
	case OmittedError:
		return "error, omitted"
	case Failed:
		return "error"
	case Null:
		return "null"
	case Empty:
		return "empty list"
	case Emitted:
		return "emitted"
	}
	return "unknown"
}
