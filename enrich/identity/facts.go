package identity

// This file lists what a directory may be unable to say.

// Facts are what a record can hold and not every directory can say. A fact that
// no directory could say is neither null nor false: to read it is an error.
type Facts uint32

const (
	// FactUser is the user: its attributes and whether there is one.
	FactUser Facts = 1 << iota
	// FactStatus, FactCreated, FactLastUpdated, FactPasswordChanged and
	// FactLastLogin are the user's own fields of those names.
	FactStatus
	FactCreated
	FactLastUpdated
	FactPasswordChanged
	FactLastLogin
	// FactGroupType, FactGroupSource, FactGroupClass and FactGroupTimes are the
	// type, source, object classes and times of groups.
	FactGroupType
	FactGroupSource
	FactGroupClass
	FactGroupTimes
	// FactLinked are the user's linked objects.
	FactLinked
	// FactAppUsers are assignments to other apps than the protected one.
	FactAppUsers
	// FactApp is the protected app, FactAppUser the assignment to it.
	FactApp
	FactAppUser

	factEnd

	// GroupFacts are those about groups.
	GroupFacts = FactGroupType | FactGroupSource | FactGroupClass | FactGroupTimes

	// AllFacts are all of them but those about groups.
	AllFacts = (factEnd - 1) &^ GroupFacts
)

// factNames are in the order of the bits.
var factNames = [...]string{
	"the user", "the user's status", "when the user was created", "when the user was last updated", "when the password was changed", "when the user last signed in",
	"the type of groups", "the source of groups", "the object classes of groups", "the times of groups",
	"linked objects", "assignments to other apps", "the app", "the assignment to the app",
}

// Names returns the facts in words, for a message.
func (f Facts) Names() []string {
	var names []string
	for i, name := range factNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// UnavailableGroupFacts returns the facts about groups that the person's source says of
// none of them; zero where there are no groups. Where groups have types, those
// without a source are the directory's own.
func (p *Person) UnavailableGroupFacts() Facts {
	if len(p.Groups) == 0 {
		return 0
	}
	unavailable := GroupFacts
	for i := range p.Groups {
		g := &p.Groups[i]
		if g.Type != "" {
			unavailable &^= FactGroupType | FactGroupSource
		}
		if g.Source != "" {
			unavailable &^= FactGroupSource
		}
		if len(g.ObjectClass) > 0 {
			unavailable &^= FactGroupClass
		}
		if !g.Created.IsZero() || !g.LastUpdated.IsZero() || !g.LastMembershipUpdated.IsZero() {
			unavailable &^= FactGroupTimes
		}
		if unavailable == 0 {
			break
		}
	}
	return unavailable
}
