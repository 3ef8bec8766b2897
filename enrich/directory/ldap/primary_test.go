//go:build linux

package ldap

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
)

// sid gives the security identifier of a number in a domain, as stored.
func sid(number ...byte) []byte {
	return append([]byte{1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, '(', '*', '\\', ')', 255, 254, 0, '='}, number...)
}

// TestThePrimaryGroupIsAmongTheGroups gives OpenLDAP's entries what those of an
// Active Directory have.
func TestThePrimaryGroupIsAmongTheGroups(t *testing.T) {
	w := adaOnly()
	w.Groups, w.Users[0].Groups = nil, nil
	ada := "cn=" + directorytest.Ada + ",ou=people," + suffix
	var ldif strings.Builder
	add := func(entry string, id []byte, more string) {
		ldif.WriteString(strings.Replace(entry, "objectClass:", "objectClass: testAccount\nobjectClass:", 1))
		fmt.Fprintf(&ldif, "objectSid:: %s\n%s\n", base64.StdEncoding.EncodeToString(id), more)
	}
	add(strings.TrimSuffix(worldLDIF(w), "\n"), sid(244, 1, 0, 0), "primaryGroupID: 513\n")
	group := func(id string, number byte, members ...string) {
		var text strings.Builder
		writeGroup(&text, id, id, members...)
		add(strings.TrimSuffix(text.String(), "\n"), sid(number, 2, 0, 0), "")
	}
	dn := func(id string) string { return "cn=" + id + ",ou=groups," + suffix }
	group("primary", 1, dn("above")) // 513; it and the one above hold each other
	group("other", 2)
	group("direct", 3, ada)
	group("above", 4, dn("primary"))
	s := startSlapd(t, ldif.String())

	for _, c := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"searched", func(*Config) {}, []string{"direct", "primary"}},
		{"with what holds it", func(c *Config) { c.Nested = true }, []string{"above", "direct", "primary"}},
		{"once", func(c *Config) { c.GroupFilter = "(|(member={dn})(cn=primary))" }, []string{"direct", "primary"}},
		// memberOf is empty: the server keeps it of members that are added while it runs.
		{"beside memberOf", func(c *Config) { c.MemberOf, c.GroupID = true, "" }, []string{"primary"}},
		{"with named attributes", func(c *Config) { c.Attributes = []string{"department"} }, []string{"direct", "primary"}},
		{"not against the filter", func(c *Config) { c.GroupFilter = "(&(member={dn})(!(cn=primary)))" }, []string{"direct"}},
		{"not below another base", func(c *Config) { c.GroupBase = "ou=others," + suffix }, []string{}},
		{"not where members are compared by subject", func(c *Config) { c.GroupFilter = "(|(member=" + ada + ")(ou={subject}))" }, []string{"direct"}},
		{"not where a part of the name is compared", func(c *Config) { c.GroupFilter = "(|(member={dn})(member=x{dn}))" }, []string{"direct"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := harness{}.config(s)
			config.GroupName = "cn"
			c.change(&config)
			p, err := look(t, open(t, config), "ada@example.com")
			if err != nil || !p.GroupsKnown || p.Groups == nil || !slices.Equal(names(p.Groups), c.want) {
				t.Fatalf("%+v, %v; want %v", p, err, c.want)
			}
			if len(config.Attributes) > 0 && len(p.User.Profile) != 1 {
				t.Errorf("the profile holds what was asked for on our own account: %v", p.User.Profile)
			}
		})
	}
}

func TestTheIdentifierOfAPrimaryGroupIsOfTheAccountsDomain(t *testing.T) {
	if got, ok := primarySID(sid(244, 1, 0, 0), "513"); !ok || !bytes.Equal(got, sid(1, 2, 0, 0)) {
		t.Errorf("%x, %v", got, ok)
	}
	for _, c := range []struct {
		account []byte
		number  string
	}{
		{nil, "513"},
		{sid(244, 1, 0, 0), ""},
		{sid(244, 1, 0, 0), "-1"},
		{sid(244, 1, 0, 0), "4294967296"},
		{sid(244, 1, 0), "513"},
		{[]byte{1, 0, 0, 0, 0, 0, 0, 5}, "513"}, // an authority without a domain
	} {
		if got, ok := primarySID(c.account, c.number); ok {
			t.Errorf("%x and %q give %x", c.account, c.number, got)
		}
	}
}

func TestEveryByteOfAnIdentifierIsSearched(t *testing.T) {
	f, err := parseFilter("(&(cn=*)(member={dn}))", "dn")
	if err != nil {
		t.Fatal(err)
	}
	if f, err = f.withSID(); err != nil || f.text != "(&(cn=*)(objectSid={dn}))" {
		t.Fatalf("%v, %v", f, err)
	}
	for b := range 256 {
		for _, id := range [][]byte{sid(byte(b), 0, 0, 0), sid(0, 0, 0, byte(b)), {byte(b)}} {
			p, err := ldap.CompileFilter(f.expand("", string(id)))
			if err != nil {
				t.Fatalf("%x: %v", id, err)
			}
			if got := fmt.Sprintf("%x", p.Children[1].Children[1].Data.Bytes()); got != fmt.Sprintf("%x", id) {
				t.Errorf("%x is searched for %x", got, id)
			}
		}
	}
}
