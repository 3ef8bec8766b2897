//go:build ad && linux

package ldap

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"unicode/utf16"

	"github.com/go-ldap/ldap/v3"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// The domain of the tests: its root, an account that searches, and its groups.
const (
	domain    = "DC=ad,DC=example,DC=test"
	people    = "OU=People," + domain
	teams     = "OU=Teams," + domain
	reader    = "reader@ad.example.test"
	ownerName = "administrator@ad.example.test"
	ownerWord = "0wner-of-the-Domain"

	// lockoutThreshold wrong passwords lock an account.
	lockoutThreshold = 3

	// manyGroups are more than a page holds.
	manyGroups = pageSize + 20
)

// samba is a real Active Directory: Samba's domain controller. It listens on
// the ports that the protocol fixes, on loopback, and so needs root.
type samba struct{ ca string }

// startSamba provisions a domain in a folder of the test's and serves it.
func startSamba(t *testing.T) *samba {
	t.Helper()
	for _, program := range []string{"samba", "samba-tool"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is needed: apt-get install samba samba-ad-dc samba-ad-provision samba-dsdb-modules python3-samba winbind", program)
		}
	}
	for _, port := range []string{"389", "636"} {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatalf("the domain controller needs port %s on loopback: %v", port, err)
		}
		_ = l.Close()
	}
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	// With a key at hand the first start need not make one of 4096 bits.
	s := &samba{ca: filepath.Join(folder, "cert.pem")}
	key := filepath.Join(folder, "key.pem")
	if err := directorytest.WriteCertificate(s.ca, key); err != nil {
		t.Fatal(err)
	}
	domainFolder := filepath.Join(folder, "domain")
	options := []string{"--option=server services=ldap", "--option=interfaces=lo", "--option=bind interfaces only=yes"}
	for name, value := range map[string]string{
		"tls keyfile": key, "tls certfile": s.ca, "tls cafile": s.ca,
		"pid directory": folder, "ncalrpc dir": filepath.Join(folder, "ncalrpc"), "log file": filepath.Join(folder, "log"),
	} {
		options = append(options, "--option="+name+"="+value)
	}
	tool := func(arguments ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "samba-tool", append(arguments, options...)...).CombinedOutput(); err != nil {
			t.Fatalf("samba-tool %s: %v\n%s", strings.Join(arguments[:2], " "), err, out)
		}
	}
	tool("domain", "provision", "--targetdir="+domainFolder, "--realm=AD.EXAMPLE.TEST", "--domain=EXAMPLE", "--server-role=dc",
		"--dns-backend=NONE", "--host-name=dc1", "--host-ip=127.0.0.1", "--adminpass="+ownerWord)
	configuration := "--configfile=" + filepath.Join(domainFolder, "etc", "smb.conf")
	tool("domain", "passwordsettings", "set", configuration, "--account-lockout-threshold="+strconv.Itoa(lockoutThreshold))

	var log strings.Builder
	// Clean-up ends it, after those who still speak to it.
	cmd := exec.CommandContext(context.Background(), "samba", append([]string{"--interactive", "--model=single", "--no-process-group", configuration}, options...)...)
	cmd.Stdout, cmd.Stderr = &log, &log
	// It ends when its standard input does, should the test be killed.
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = input.Close()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	await(t, "127.0.0.1:389")
	await(t, "127.0.0.1:636")
	return s
}

// config reaches the domain as an installation would.
func (s *samba) config() Config {
	return Config{
		URL: "ldaps://127.0.0.1", CAFile: s.ca, BindDN: reader, BindPassword: ownerWord,
		Base: domain, UserFilter: "(&(objectClass=user)(sAMAccountName={subject}))", Nested: true,
	}
}

// owner gives a connection that may change the domain.
func (s *samba) owner(t *testing.T) *ldap.Conn {
	t.Helper()
	c := s.config()
	c.BindDN, c.BindPassword = ownerName, ownerWord
	set, err := resolve(c)
	if err != nil {
		t.Fatal(err)
	}
	connection, err := set.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(connection.close)
	return connection.ldap
}

// populate makes the people and groups of the tests.
func populate(t *testing.T, c *ldap.Conn) {
	t.Helper()
	add := func(dn string, attributes map[string][]string) {
		t.Helper()
		q := ldap.NewAddRequest(dn, nil)
		for name, values := range attributes {
			q.Attribute(name, values)
		}
		if err := c.Add(q); err != nil {
			t.Fatalf("adding %s: %v", dn, err)
		}
	}
	for _, unit := range []string{people, teams} {
		add(unit, map[string][]string{"objectClass": {"organizationalUnit"}})
	}
	account := func(name, flags string, more map[string][]string) {
		t.Helper()
		attributes := map[string][]string{
			"objectClass": {"user"}, "sAMAccountName": {name}, "userPrincipalName": {name + "@ad.example.test"},
			"userAccountControl": {flags}, "unicodePwd": {quoted(ownerWord)},
		}
		maps.Copy(attributes, more)
		add("CN="+name+","+people, attributes)
	}
	account("reader", "512", nil)
	account("ada", "512", map[string][]string{"givenName": {"Ada"}, "department": {"Engineering"}, "mail": {"ada@example.com"}})
	account("disabled", "514", nil)
	account("locked", "512", nil)
	account("expired", "512", map[string][]string{"accountExpires": {"130000000000000000"}}) // 2012
	account("many", "512", nil)
	account("alone", "512", nil)
	account("o'neil (ü)", "512", nil)

	group := func(name string, members ...string) {
		t.Helper()
		attributes := map[string][]string{"objectClass": {"group"}, "sAMAccountName": {name}, "description": {"about " + name}}
		if len(members) > 0 {
			attributes["member"] = members
		}
		add("CN="+name+","+teams, attributes)
	}
	group("Guild", "CN=ada,"+people)
	group("Masters", "CN=Guild,"+teams)
	group("Loop")
	group("Engineers", "CN=ada,"+people, "CN=Loop,"+teams)
	group("Staff", "CN=Engineers,"+teams, "CN=Domain Users,CN=Users,"+domain)
	group("All", "CN=Staff,"+teams)
	group("Unrelated", "CN=disabled,"+people)
	// Groups that hold each other.
	loop := ldap.NewModifyRequest("CN=Loop,"+teams, nil)
	loop.Add("member", []string{"CN=All," + teams})
	if err := c.Modify(loop); err != nil {
		t.Fatal(err)
	}
	for i := range manyGroups {
		group(fmt.Sprintf("Many%03d", i), "CN=many,"+people)
	}
}

// quoted writes a password as unicodePwd takes it (MS-ADTS, section 3.1.1.3.1.5).
func quoted(password string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(`"` + password + `"`)) {
		b = append(b, byte(unit), byte(unit>>8))
	}
	return string(b)
}

func TestActiveDirectory(t *testing.T) {
	s := startSamba(t)
	owner := s.owner(t)
	populate(t, owner)
	d := open(t, s.config())

	t.Run("nested groups by the server's own rule", func(t *testing.T) {
		// Domain Users, the primary group, is a member of Staff and of Users.
		want := []string{"All", "Domain Users", "Engineers", "Guild", "Loop", "Masters", "Staff", "Users"}
		for range 2 {
			p, err := look(t, d, "ada")
			if err != nil || !slices.Equal(names(p.Groups), want) {
				t.Fatalf("%v, %v; want %v", p, err, want)
			}
		}
		if d.chain.Load() != chainWorks {
			t.Error("the in-chain rule is not used")
		}
		walked := open(t, s.config())
		walked.chain.Store(chainFails)
		if p, err := look(t, walked, "ada"); err != nil || !slices.Equal(names(p.Groups), want) {
			t.Errorf("level by level: %v, %v; want %v", p, err, want)
		}
		if p, err := look(t, d, "alone"); err != nil || !slices.Equal(names(p.Groups), []string{"All", "Domain Users", "Engineers", "Loop", "Staff", "Users"}) {
			t.Errorf("through the primary group alone: %v, %v", p, err)
		}
	})

	t.Run("nested groups are those of the server's own tokens", func(t *testing.T) {
		result, err := owner.Search(ldap.NewSearchRequest("CN=ada,"+people, ldap.ScopeBaseObject, ldap.NeverDerefAliases,
			1, 0, false, "(objectClass=*)", []string{"tokenGroups"}, nil))
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, token := range result.Entries[0].GetRawAttributeValues("tokenGroups") {
			text, ok := spellSID(token)
			if !ok {
				t.Fatalf("no SID: %x", token)
			}
			want = append(want, text)
		}
		c := s.config()
		c.GroupID = "objectSid"
		p, err := look(t, open(t, c), "ada")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, g := range p.Groups {
			got = append(got, g.ID)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("groups %v, the server's token %v", got, want)
		}
	})

	t.Run("direct groups and the primary group", func(t *testing.T) {
		want := []string{"Domain Users", "Engineers", "Guild"}
		searched := s.config()
		searched.Nested = false
		fromEntry := searched
		fromEntry.MemberOf = true
		for how, c := range map[string]Config{"searched": searched, "memberOf": fromEntry} {
			p, err := look(t, open(t, c), "ada")
			if err != nil || !slices.Equal(names(p.Groups), want) {
				t.Errorf("%s: %v, %v; want %v", how, p, err, want)
			}
			for _, g := range p.Groups {
				if g.Name == "Domain Users" && g.ID != "CN=Domain Users,CN=Users,"+domain {
					t.Errorf("%s: the primary group's id is %s", how, g.ID)
				}
			}
		}
		below := searched
		below.GroupBase = teams
		if p, err := look(t, open(t, below), "ada"); err != nil || !slices.Equal(names(p.Groups), []string{"Engineers", "Guild"}) {
			t.Errorf("below the teams: %v, %v", p, err)
		}
	})

	t.Run("an account whose primary group was changed", func(t *testing.T) {
		// An account must be a member of its future primary group, and stays
		// one of the former.
		result, err := owner.Search(ldap.NewSearchRequest("CN=Engineers,"+teams, ldap.ScopeBaseObject, ldap.NeverDerefAliases,
			1, 0, false, "(objectClass=*)", []string{"primaryGroupToken"}, nil))
		if err != nil {
			t.Fatal(err)
		}
		change := ldap.NewModifyRequest("CN=ada,"+people, nil)
		change.Replace("primaryGroupID", []string{result.Entries[0].GetAttributeValue("primaryGroupToken")})
		if err := owner.Modify(change); err != nil {
			t.Fatal(err)
		}
		c := s.config()
		c.Nested = false
		if p, err := look(t, open(t, c), "ada"); err != nil || !slices.Equal(names(p.Groups), []string{"Domain Users", "Engineers", "Guild"}) {
			t.Errorf("%v, %v", p, err)
		}
		if p, err := look(t, d, "ada"); err != nil || len(p.Groups) != 8 {
			t.Errorf("nested: %v, %v", p, err)
		}
	})

	t.Run("more groups than a page holds", func(t *testing.T) {
		p, err := look(t, d, "many")
		if err != nil || len(p.Groups) != manyGroups+6 {
			t.Fatalf("%v groups, %v; want %d", p, err, manyGroups+6)
		}
		c := s.config()
		c.Nested, c.MemberOf = false, true
		if p, err = look(t, open(t, c), "many"); err != nil || len(p.Groups) != manyGroups+1 {
			t.Errorf("from memberOf: %v, %v; want %d", p, err, manyGroups+1)
		}
	})

	t.Run("identifiers and attributes", func(t *testing.T) {
		p, err := look(t, d, "ADA")
		if err != nil {
			t.Fatal(err)
		}
		result, err := owner.Search(ldap.NewSearchRequest("<GUID="+p.User.ID+">", ldap.ScopeBaseObject, ldap.NeverDerefAliases,
			1, 0, false, "(objectClass=*)", []string{"sAMAccountName"}, nil))
		if err != nil || len(result.Entries) != 1 || result.Entries[0].GetAttributeValue("sAMAccountName") != "ada" {
			t.Errorf("the server does not know its user by the GUID %s: %v", p.User.ID, err)
		}
		sid, _ := p.User.Profile["objectSid"].(string)
		result, err = owner.Search(ldap.NewSearchRequest("<SID="+sid+">", ldap.ScopeBaseObject, ldap.NeverDerefAliases,
			1, 0, false, "(objectClass=*)", []string{"sAMAccountName"}, nil))
		if err != nil || len(result.Entries) != 1 || result.Entries[0].GetAttributeValue("sAMAccountName") != "ada" {
			t.Errorf("the server does not know its user by the SID %s: %v", sid, err)
		}
		u := p.User
		if u.Login != "ada" || u.Profile["givenName"] != "Ada" || u.Profile["department"] != "Engineering" || u.Profile["objectGUID"] != u.ID ||
			u.Created.IsZero() || u.LastUpdated.IsZero() {
			t.Errorf("user %+v", u)
		}
		if p, err = look(t, d, "o'neil (ü)"); err != nil || p.User.Login != "o'neil (ü)" {
			t.Errorf("a name that needs escapes: %v, %v", p, err)
		}
		c := s.config()
		c.UserFilter, c.Login = "(userPrincipalName={subject})", "userPrincipalName"
		if p, err = look(t, open(t, c), "ada@ad.example.test"); err != nil || p.User.Login != "ada@ad.example.test" {
			t.Errorf("by userPrincipalName: %v, %v", p, err)
		}
	})

	t.Run("states of accounts", func(t *testing.T) {
		for range lockoutThreshold {
			c := s.config()
			c.BindDN, c.BindPassword = "locked@ad.example.test", "wrong"
			if _, err := look(t, open(t, c), "ada"); !errors.Is(err, directory.ErrRefused) {
				t.Fatalf("a wrong password: %v", err)
			}
		}
		for name, want := range map[string]string{
			"ada": identity.StatusActive, "disabled": identity.StatusSuspended,
			"expired": identity.StatusSuspended, "locked": identity.StatusLockedOut,
		} {
			if p, err := look(t, d, name); err != nil || p.User.Status != want {
				t.Errorf("%s: %+v, %v; want %s", name, p, err, want)
			}
		}
	})

	t.Run("referrals are not followed", func(t *testing.T) {
		// From its root the domain refers to its configuration, by name.
		var dialled atomic.Int32
		c := s.config()
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			dialled.Add(1)
			if address != "127.0.0.1:636" {
				t.Errorf("%s is asked", address)
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
		d := open(t, c)
		result, err := owner.Search(ldap.NewSearchRequest(domain, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
			0, 0, false, "(sAMAccountName=ada)", []string{"cn"}, nil))
		if err != nil || len(result.Referrals) == 0 {
			t.Fatalf("the server refers to nobody: %v", err)
		}
		if p, err := look(t, d, "ada"); err != nil || p.User.Login != "ada" || dialled.Load() != 1 {
			t.Errorf("%v, %v after %d connections", p, err, dialled.Load())
		}
		if _, err := look(t, d, "nobody"); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("nobody: %v", err)
		}
		c.Base = "DC=elsewhere,DC=test" // another domain: a referral and no entries
		if _, err := look(t, open(t, c), "ada"); err == nil || errors.Is(err, directory.ErrNotFound) {
			t.Errorf("a base on another server: %v", err)
		}
	})

	t.Run("the password goes over TLS only", func(t *testing.T) {
		c := s.config()
		c.URL, c.CAFile = "ldap://127.0.0.1", ""
		if _, err := look(t, open(t, c), "ada"); !errors.Is(err, directory.ErrRefused) {
			t.Errorf("in the clear: %v", err)
		}
		c.CAFile, c.StartTLS = s.ca, true
		if p, err := look(t, open(t, c), "ada"); err != nil || p.User.Login != "ada" {
			t.Errorf("with StartTLS: %v, %v", p, err)
		}
	})
}
