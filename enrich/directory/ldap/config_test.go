package ldap

import (
	"bytes"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

func valid() Config {
	return Config{URL: "ldaps://host", Base: "dc=example,dc=test", BindDN: "cn=reader", BindPassword: "secret"}
}

func TestSettingsThatAreWrongInThemselvesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*Config)
		want string // empty: accepted
	}{
		{"as they should be", func(*Config) {}, ""},
		{"anonymous", func(c *Config) { c.BindDN, c.BindPassword = "", "" }, ""},
		{"an empty password", func(c *Config) { c.BindPassword = "" }, "an empty password is not allowed"},
		{"a password for nobody", func(c *Config) { c.BindDN = "" }, "must be set together"},
		{"no base", func(c *Config) { c.Base = "" }, "base is required"},
		{"a base that is none", func(c *Config) { c.Base = "example.test" }, `base: "example.test" is not a distinguished name`},
		{"a group base that is none", func(c *Config) { c.GroupBase = "groups" }, `group_base: "groups" is not a distinguished name`},
		{"in the clear", func(c *Config) { c.URL = "ldap://host" }, "in the clear"},
		{"in the clear to this machine", func(c *Config) { c.URL = "ldap://127.0.0.1:1389" }, ""},
		{"in the clear on purpose", func(c *Config) { c.URL, c.Plaintext = "ldap://host", true }, ""},
		{"StartTLS", func(c *Config) { c.URL, c.StartTLS = "ldap://host", true }, ""},
		{"StartTLS twice", func(c *Config) { c.StartTLS = true }, "start_tls needs ldap://"},
		{"CA without TLS", func(c *Config) { c.URL, c.CAFile = "ldap://localhost", "x" }, "no effect without TLS"},
		{"a CA file that is missing", func(c *Config) { c.CAFile = filepath.Join("none", "ca.pem") }, "reading the CA file"},
		{"another scheme", func(c *Config) { c.URL = "https://host" }, "want ldaps://"},
		{"no host", func(c *Config) { c.URL = "ldaps://" }, "want ldaps://"},
		{"credentials in the URL", func(c *Config) { c.URL = "ldaps://me:pass@host" }, "options of their own"},
		{"a query in the URL", func(c *Config) { c.URL = "ldaps://host/dc=x??sub" }, "options of their own"},
		{"a filter without subject", func(c *Config) { c.UserFilter = "(uid=ada)" }, "must compare an attribute with {subject}"},
		{"a filter by part of the name", func(c *Config) { c.UserFilter = "(uid=*{subject}*)" }, "must compare an attribute with {subject}"},
		{"a filter for everybody else", func(c *Config) { c.UserFilter = "(!(uid={subject}))" }, "must compare an attribute with {subject}"},
		{"a subject as attribute", func(c *Config) { c.UserFilter = "(&(uid={subject})({subject}=x))" }, "is not allowed in an attribute name"},
		{"a misspelt place", func(c *Config) { c.UserFilter = "(uid={subjcet})" }, `(did you mean "subject"?)`},
		{"a dn for a user", func(c *Config) { c.UserFilter = "(uid={dn})" }, "unknown placeholder {dn}"},
		{"an open brace", func(c *Config) { c.UserFilter = "(uid={subject)" }, "unbalanced brace"},
		{"an open parenthesis", func(c *Config) { c.UserFilter = "(&(uid={subject})" }, "a parenthesis is missing"},
		{"text behind", func(c *Config) { c.UserFilter = "(uid={subject})x" }, "text after the end"},
		{"no filter", func(c *Config) { c.UserFilter = "uid={subject}" }, "a parenthesis is missing"},
		{"many filters", func(c *Config) { c.UserFilter = "(&(objectClass=person)(|(uid={subject})(mail={subject})))" }, ""},
		{"groups for everybody", func(c *Config) { c.GroupFilter = "(objectClass=group)" }, "every user would have every group"},
		{"members by name", func(c *Config) { c.GroupFilter = "(memberUid={subject})" }, ""},
		{"nested members by name", func(c *Config) { c.GroupFilter, c.Nested = "(memberUid={subject})", true }, "compares no attribute with {dn}"},
		{"nested memberOf", func(c *Config) { c.MemberOf, c.Nested = true, true }, "needs a group search"},
		{"memberOf with ids", func(c *Config) { c.MemberOf, c.GroupID = true, "entryUUID" }, "group_id must be dn"},
		{"too many connections", func(c *Config) { c.Connections = maxConnections + 1 }, "connections must be"},
		{"a negative time-out", func(c *Config) { c.Timeout = -1 }, "timeout is negative"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := valid()
			c.set(&config)
			_, err := New(config)
			if (c.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "pass@")) {
				t.Error("the error holds a password")
			}
		})
	}
}

func TestNoSubjectLeavesItsPlaceInAFilter(t *testing.T) {
	f, err := parseFilter("(&(objectClass=person)(|(uid={subject})(mail={subject})))", "subject")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := ldap.CompileFilter(f.expand("x", ""))
	if err != nil {
		t.Fatal(err)
	}
	for name, subject := range directorytest.Hostile() {
		p, err := ldap.CompileFilter(f.expand(subject, ""))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(p.Children) != len(plain.Children) || len(p.Children[1].Children) != 2 {
			t.Errorf("%s changes the filter's form", name)
			continue
		}
		for _, c := range p.Children[1].Children {
			if c.Tag != ldap.FilterEqualityMatch || !bytes.Equal(c.Children[1].Data.Bytes(), []byte(subject)) {
				t.Errorf("%s: compared with %q", name, c.Children[1].Data.Bytes())
			}
		}
	}
}

func FuzzFilter(f *testing.F) {
	f.Add("(&(objectClass=person)(|(uid={subject})(!(mail={subject}))))", "*)(uid=*")
	f.Add(`(cn:caseExactMatch:={subject})`, `\2a`)
	f.Add(`(a=smtp:{subject}\29)`, "{dn}")
	f.Fuzz(func(t *testing.T, text, subject string) {
		parsed, err := parseFilter(text, "subject")
		if err != nil {
			return
		}
		before, err1 := ldap.CompileFilter(parsed.expand("x", ""))
		after, err2 := ldap.CompileFilter(parsed.expand(subject, ""))
		if err1 != nil || err2 != nil {
			t.Fatalf("an accepted filter does not compile: %v, %v", err1, err2)
		}
		if shape(before, 0) != shape(after, 0) {
			t.Fatalf("a subject changes the filter's form")
		}
	})
}

func TestAnEntryMustShowWhatItWasAskedForBy(t *testing.T) {
	f, err := parseFilter(`(|(uid={subject})(proxyAddresses=smtp:{subject})(!(sn={subject}))(cn=*{subject}))`, "subject")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		attribute, value, subject string
		want                      resemblance
	}{
		{"uid", "ada", "ada", same},
		{"UID", "ADA", "ada", same},
		{"proxyAddresses", "SMTP:ada@example.com", "ada@example.com", same},
		{"proxyAddresses", "ada@example.com", "ada@example.com", foreign},
		{"uid", "ada", "ada ", similar},
		{"uid", "ada", "ａｄａ", similar},
		{"uid", "kim", "\u212aim", similar},
		{"uid", "straße", "strasse", similar},
		{"uid", "eve", "ada", foreign},
		{"uid", "\xff", "\ufffd", foreign},
		{"sn", "ada", "ada", foreign},
		{"cn", "ada", "ada", foreign},
	} {
		e := ldap.NewEntry("uid=x", map[string][]string{c.attribute: {"other", c.value}})
		if got, _ := f.resembles(e, c.subject); got != c.want {
			t.Errorf("%s=%q for %q: %d, want %d", c.attribute, c.value, c.subject, got, c.want)
		}
	}
}

func TestStatusOfAccounts(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct{ attribute, value, want string }{
		{"cn", "x", ""},
		{"userAccountControl", "512", identity.StatusActive},
		{"userAccountControl", "514", identity.StatusSuspended},
		{"userAccountControl", "66050", identity.StatusSuspended},
		{"msDS-User-Account-Control-Computed", "16", identity.StatusLockedOut},
		{"msDS-User-Account-Control-Computed", "0", identity.StatusActive},
		{"nsAccountLock", "TRUE", identity.StatusSuspended},
		{"nsAccountLock", "true", identity.StatusSuspended},
		{"nsAccountLock", "FALSE", ""},
		{"loginDisabled", "TRUE", identity.StatusSuspended},
		{"ds-pwp-account-disabled", "true", identity.StatusSuspended},
		{"pwdAccountLockedTime", "000001010000Z", identity.StatusLockedOut},
		{"pwdAccountLockedTime", "20260228120000Z", identity.StatusLockedOut},
		{"accountExpires", "0", ""},
		{"accountExpires", "9223372036854775807", ""},
		{"accountExpires", "134167968000000000", identity.StatusSuspended}, // 2026-02-28
		{"accountExpires", "134169696000000000", ""},                       // 2026-03-02
		{"shadowExpire", "-1", ""},
		{"shadowExpire", "20512", identity.StatusSuspended}, // 2026-02-28
		{"shadowExpire", "20514", ""},                       // 2026-03-02
	} {
		e := ldap.NewEntry("uid=x", map[string][]string{c.attribute: {c.value}})
		if got := status(e, now); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.attribute, c.value, got, c.want)
		}
	}
}

func TestBinaryIdentifiersAreSpelledAsUsual(t *testing.T) {
	s, err := resolve(valid())
	if err != nil {
		t.Fatal(err)
	}
	guid := string([]byte{0xf1, 0xe2, 0xd3, 0xc4, 0xb5, 0xa6, 0x97, 0x48, 0x89, 0x7a, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06})
	sid := string([]byte{1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 255, 255, 255, 255, 244, 1, 0, 0})
	e := ldap.NewEntry("cn=x", map[string][]string{
		"objectGUID": {guid}, "objectSid": {sid}, "jpegPhoto": {"\xff\xd8\xff"}, "userPassword": {"{SSHA}x"},
		"unicodePwd": {"x"}, "userPassword;x-hash": {"x"}, "mail": {"a", "b"}, "memberOf": {"cn=one"}, "cn": {"x"}, "nothing": {},
	})
	p := s.profile(e)
	for name, want := range map[string]any{
		"objectGUID": "c4d3e2f1-a6b5-4897-897a-010203040506",
		"objectSid":  "S-1-5-21-1-2-4294967295-500",
		"cn":         "x",
	} {
		if p[name] != want {
			t.Errorf("%s = %v, want %v", name, p[name], want)
		}
	}
	if len(p) != 5 || len(p["mail"].([]any)) != 2 || len(p["memberOf"].([]any)) != 1 {
		t.Errorf("profile %v", p)
	}
	if u := s.readUser(e); u.ID != "c4d3e2f1-a6b5-4897-897a-010203040506" {
		t.Errorf("id %q", u.ID)
	}
	s.Attributes = []string{"JPEGPhoto", "userPassword"}
	if p := s.profile(e); len(p) != 1 || p["JPEGPhoto"] != "/9j/" {
		t.Errorf("profile by name %v", p)
	}
	for _, bad := range []string{"", "\x01\x02", sid[:27], "\x02" + sid[1:]} {
		if text, ok := spellSID([]byte(bad)); ok {
			t.Errorf("%q is spelled as %s", bad, text)
		}
	}
}

func TestRangesAreRead(t *testing.T) {
	for _, c := range []struct {
		text, name string
		last       int
		parted     bool
	}{
		{"member", "member", -1, false},
		{"member;range=0-1499", "member", 1499, true},
		{"member;Range=1500-*", "member", -1, true},
		{"cn;lang-en;range=0-9;x", "cn;lang-en;x", 9, true},
		{"range=0-9", "range=0-9", -1, false},
		{"member;range=", "member;range=", -1, false},
		{"member;range=x", "member", -1, true},
	} {
		name, last, parted := parseRange(c.text)
		if name != c.name || last != c.last || parted != c.parted {
			t.Errorf("%s: %s %d %v", c.text, name, last, parted)
		}
	}
}

func TestGeneralizedTime(t *testing.T) {
	for text, want := range map[string]string{
		"20260301120000Z": "2026-03-01T12:00:00Z", "20260301120000.5Z": "2026-03-01T12:00:00.5Z",
		"20260301120000+0100": "2026-03-01T11:00:00Z", "202603011200Z": "2026-03-01T12:00:00Z", "": "0001-01-01T00:00:00Z", "soon": "0001-01-01T00:00:00Z",
	} {
		if got := generalizedTime(text).Format(time.RFC3339Nano); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// shape gives the form of a compiled filter without its values.
func shape(p *ber.Packet, depth int) string {
	text := strings.Repeat(" ", depth) + strconv.Itoa(int(p.Tag)) + "\n"
	for _, c := range p.Children {
		text += shape(c, depth+1)
	}
	return text
}
