package directory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// Source is one directory of a merge.
type Source struct {
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
func (s *Source) answersFor(issuerName string) bool {
	return len(s.Issuers) == 0 || slices.Contains(s.Issuers, issuerName)
}

// Validate checks that no subject can reach the directory of an issuer that
// did not name it: with two or more issuers configured, each member must say
// which it answers for, and every name it gives must be configured.
func (c *Composite) Validate(issuerNames []string) error {
	errs := make([]error, len(c.sources))
	for i := range c.sources {
		errs[i] = c.sources[i].Validate(issuerNames)
	}
	return errors.Join(errs...)
}

// Validate checks one member as Composite.Validate does all.
func (s *Source) Validate(issuerNames []string) error {
	if len(s.Issuers) == 0 && len(issuerNames) > 1 {
		return Setting("issuers", fmt.Errorf("directory %q: issuers is required because %d issuers are configured: "+
			"say whose subjects it answers for", s.Name, len(issuerNames)))
	}
	for _, name := range s.Issuers {
		if !slices.Contains(issuerNames, name) {
			return Setting("issuers", fmt.Errorf("directory %q: no issuer is named %q%s", s.Name, name, nearest.Hint(name, issuerNames)))
		}
	}
	return nil
}

// CheckMatch refuses a name in Match that can be no property.
func (s *Source) CheckMatch() error {
	for _, name := range s.Match {
		if strings.TrimSpace(name) == "" {
			return Setting("match", fmt.Errorf("directory %q: match holds an empty name", s.Name))
		}
	}
	return nil
}
