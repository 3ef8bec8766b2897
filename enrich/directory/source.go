package directory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// Source is one directory of a Composite.
type Source struct {
	// Directory answers. Required. One that is not a *Resilient is wrapped in
	// one, with Timeout and Concurrency as below.
	Directory Directory

	// Name is the source's name in logs, metrics and status, and the origin of
	// attributes. Required, and unique within a Composite.
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
	// Default: the kind checks its answer, because it knows how it asked.
	Match []string

	// Attributes are the profile attributes to use. Default: all.
	Attributes []string

	// Timeout bounds one look-up in this directory, waiting and retries
	// included. Default: that of a *Resilient, else DefaultTimeout.
	Timeout time.Duration

	// Concurrency bounds the look-ups under way at once. Default:
	// DefaultConcurrency. A *Resilient has its own, because it is shared.
	Concurrency int
}

// answersFor reports whether the source may be asked about subjects of the
// issuer with this name.
func (s *Source) answersFor(issuerName string) bool {
	return len(s.Issuers) == 0 || slices.Contains(s.Issuers, issuerName)
}

// Validate checks that no subject can reach the directory of an issuer that
// did not name it: with two or more issuers configured, each source must say
// which it answers for, and each of these names must be configured.
func (c *Composite) Validate(issuerNames []string) error {
	errs := make([]error, len(c.sources))
	for i := range c.sources {
		errs[i] = c.sources[i].Validate(issuerNames)
	}
	return errors.Join(errs...)
}

// Validate checks one source as Composite.Validate checks all. Its error is a
// SettingError about issuers.
func (s *Source) Validate(issuerNames []string) error {
	if len(s.Issuers) == 0 && len(issuerNames) > 1 {
		return Setting("issuers", fmt.Errorf("directory %q: issuers is required because %d issuers are configured: "+
			"say whose subjects it answers for", s.Name, len(issuerNames)))
	}
	for _, name := range s.Issuers {
		if !slices.Contains(issuerNames, name) {
			return Setting("issuers", fmt.Errorf("directory %q: no issuer is named %q%s", s.Name, name, suggest.DidYouMean(name, issuerNames)))
		}
	}
	return nil
}

// CheckMatch returns an error for a name in Match that cannot be a property.
func (s *Source) CheckMatch() error {
	for _, name := range s.Match {
		if strings.TrimSpace(name) == "" {
			return Setting("match", fmt.Errorf("directory %q: match holds an empty name", s.Name))
		}
	}
	return nil
}
