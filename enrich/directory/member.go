package directory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// Member is one directory of a merge.
type Member struct {
	// Directory is asked. One that is not a *Guarded is wrapped in one, with
	// Timeout and Concurrency as below.
	Directory Directory

	// Name stands in logs, metrics, status, and as the origin of attributes.
	// It is unique within a merge.
	Name string

	// Required makes a failure of this directory a failure of the look-up.
	// An optional one that fails is left out, and the answer says so.
	Required bool

	// Issuers are the configured names of the issuers whose subjects this
	// directory answers for. Empty means all, which Validate allows only
	// where there is no more than one.
	Issuers []string

	// Match names the properties of a user that may hold the subject: id,
	// login, email (LDAP's mail counts as such), or any attribute of the
	// profile. Where it is set, an
	// answer whose user holds the subject in none of them is ErrForeign.
	// Empty leaves that check to the kind, which knows how it asked.
	Match []string

	// Attributes are the profile attributes to keep; empty keeps all.
	Attributes []string

	// Timeout bounds one look-up in this directory, waiting and retries
	// included. Default: that of a *Guarded, else DefaultTimeout.
	Timeout time.Duration

	// Concurrency bounds the look-ups under way at once. Default:
	// DefaultConcurrency. A *Guarded brings its own, because it is shared.
	Concurrency int
}

// answersFor reports whether the member may be asked about subjects of the
// issuer with this name.
func (m *Member) answersFor(issuerName string) bool {
	return len(m.Issuers) == 0 || slices.Contains(m.Issuers, issuerName)
}

// Validate checks that no subject can reach the directory of an issuer that
// did not name it: with two or more issuers configured, each member must say
// which it answers for, and every name it gives must be configured.
func (m *Merged) Validate(issuerNames []string) error {
	errs := make([]error, len(m.members))
	for i := range m.members {
		errs[i] = m.members[i].Validate(issuerNames)
	}
	return errors.Join(errs...)
}

// Validate checks one member as Merged.Validate does all.
func (m *Member) Validate(issuerNames []string) error {
	if len(m.Issuers) == 0 && len(issuerNames) > 1 {
		return Setting("issuers", fmt.Errorf("directory %q: issuers is required because %d issuers are configured: "+
			"say whose subjects it answers for", m.Name, len(issuerNames)))
	}
	for _, name := range m.Issuers {
		if !slices.Contains(issuerNames, name) {
			return Setting("issuers", fmt.Errorf("directory %q: no issuer is named %q%s", m.Name, name, nearest.Hint(name, issuerNames)))
		}
	}
	return nil
}

// CheckMatch refuses a name in Match that can be no property.
func (m *Member) CheckMatch() error {
	for _, name := range m.Match {
		if strings.TrimSpace(name) == "" {
			return Setting("match", fmt.Errorf("directory %q: match holds an empty name", m.Name))
		}
	}
	return nil
}
