package ldap

import "testing"

func TestWhatAReferenceMayHold(t *testing.T) {
	for reference, want := range map[string]bool{
		"ldap://example.test/CN=Configuration,DC=example,DC=test":                        false,
		"ldaps://ForestDnsZones.example.test/DC=ForestDnsZones,DC=example,DC=test??base": false,
		"ldap://DomainDnsZones.example.test/dc=domaindnszones,dc=example,dc=test":        false,
		"ldap://child.example.test/DC=child,DC=example,DC=test":                          true,
		"ldap://other.example.test/":                                                     true,
		"ldap://x/OU=CN=Configuration":                                                   true,
		"%":                                                                              true,
		"":                                                                               true,
	} {
		if got := mayHoldGroups(reference); got != want {
			t.Errorf("%s: %v", reference, got)
		}
	}
}
