//go:build linux

package ldap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jimlambrt/gldap"
	"go.uber.org/goleak"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

func open(t testing.TB, c Config) *Directory {
	t.Helper()
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// look asks for a subject within the patience of a test.
func look(t testing.TB, d *Directory, subject string) (*identity.Person, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return d.Person(ctx, directorytest.Query(subject))
}

func names(groups []identity.Group) []string {
	out := make([]string, len(groups))
	for i, g := range groups {
		out[i] = g.Name
	}
	slices.Sort(out)
	return out
}

func adaOnly() directorytest.World {
	w := directorytest.NewWorld()
	w.Users = w.Users[:1]
	w.Groups = w.Groups[:2]
	return w
}

func TestTLSIsVerified(t *testing.T) {
	s := startSlapd(t, worldLDIF(adaOnly()))
	for name, set := range map[string]func(*Config){
		"LDAPS, an unknown authority":    func(c *Config) { c.CAFile = "" },
		"LDAPS, another name":            func(c *Config) { c.ServerName = "other.test" },
		"StartTLS, an unknown authority": func(c *Config) { c.URL, c.StartTLS, c.CAFile = "ldap://"+s.plain, true, "" },
		"StartTLS, another name":         func(c *Config) { c.URL, c.StartTLS, c.ServerName = "ldap://"+s.plain, true, "other.test" },
	} {
		c := harness{}.config(s)
		set(&c)
		if _, err := look(t, open(t, c), "ada@example.com"); !errors.Is(err, directory.ErrUnavailable) || !strings.Contains(err.Error(), "x509") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNothingIsSaidBeforeTLSThatWasAskedFor(t *testing.T) {
	heard := make(chan string, 1)
	address := directorytest.Listen(t, func(conn net.Conn) {
		// Refuses StartTLS: message 1, extended response, protocolError.
		buf := make([]byte, 4096)
		n, _ := conn.Read(buf)
		first := string(buf[:n])
		_, _ = conn.Write([]byte{0x30, 0x0c, 0x02, 0x01, 0x01, 0x78, 0x07, 0x0a, 0x01, 0x02, 0x04, 0x00, 0x04, 0x00})
		n, _ = conn.Read(buf)
		heard <- first + string(buf[:n])
	})
	c := valid()
	c.URL, c.StartTLS, c.BindPassword = "ldap://"+address, true, password
	if _, err := look(t, open(t, c), "ada"); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	if text := <-heard; strings.Contains(text, password) || strings.Contains(text, "cn=reader") {
		t.Error("the password went over a connection that is not encrypted")
	}
}

// TestMembersByNameAreFoundWhateverTheCaseOfTheSubject: a uid is compared
// without regard to case and a memberUid with it, so that a user who was found
// would be in none of the user's groups.
func TestMembersByNameAreFoundWhateverTheCaseOfTheSubject(t *testing.T) {
	w := adaOnly()
	w.Groups, w.Users[0].Groups = nil, nil
	s := startSlapd(t, worldLDIF(w)+"dn: cn=Posix,ou=groups,"+suffix+"\nobjectClass: posixGroup\ncn: Posix\ngidNumber: 7\nmemberUid: ada\n\n")
	c := harness{}.config(s)
	c.UserFilter, c.GroupFilter, c.GroupID, c.GroupName = "(uid={subject}@example.com)", "(memberUid={subject})", "cn", "cn"
	for _, subject := range []string{"ada", "ADA", "Ada"} {
		p, err := look(t, open(t, c), subject)
		if err != nil || !slices.Equal(names(p.Groups), []string{"Posix"}) {
			t.Errorf("%s: %+v, %v", subject, p, err)
		}
	}
}

// clique is a set of nested groups: staff holds admins, all holds staff, and
// all and staff hold each other.
func clique(b *strings.Builder) {
	dn := func(id string) string { return "cn=" + id + ",ou=groups," + suffix }
	writeGroup(b, "admins", "Admins", "cn="+directorytest.Ada+",ou=people,"+suffix)
	writeGroup(b, "staff", "Staff", dn("admins"), dn("all"))
	writeGroup(b, "all", "All", dn("staff"))
	writeGroup(b, "unrelated", "Unrelated", dn("nobody"))
}

func TestNestedGroupsAreWalkedWhereTheServerHasNoRule(t *testing.T) {
	w := adaOnly()
	w.Groups, w.Users[0].Groups = nil, nil
	var ldif strings.Builder
	ldif.WriteString(worldLDIF(w))
	clique(&ldif)
	s := startSlapd(t, ldif.String())
	want := []string{"Admins", "All", "Staff"}
	c := harness{}.config(s)

	p, err := look(t, open(t, c), "ada@example.com")
	if err != nil || !slices.Equal(names(p.Groups), []string{"Admins"}) {
		t.Errorf("without nested: %v, %v", p, err)
	}
	c.Nested = true
	d := open(t, c)
	for range 2 {
		if p, err = look(t, d, "ada@example.com"); err != nil || !slices.Equal(names(p.Groups), want) {
			t.Errorf("nested: %v, %v; want %v", p, err, want)
		}
	}
	if d.chain.Load() != chainFails {
		t.Error("OpenLDAP is thought to know the in-chain rule")
	}
	// A server that calls itself an Active Directory and answers nothing.
	d = open(t, c)
	d.chain.Store(chainWorks)
	if p, err = look(t, d, "ada@example.com"); err != nil || !slices.Equal(names(p.Groups), want) {
		t.Errorf("a rule that finds nothing: %v, %v; want %v", p, err, want)
	}
	if d.chain.Load() != chainFails {
		t.Error("the rule that finds nothing is still believed")
	}
}

func TestGroupIdentifiers(t *testing.T) {
	s := startSlapd(t, worldLDIF(adaOnly()))
	for id, right := range map[string]func(string) bool{
		"dn":        func(s string) bool { return strings.HasSuffix(s, ",ou=groups,"+suffix) },
		"entryUUID": func(s string) bool { return len(s) == 36 && strings.Count(s, "-") == 4 },
		"cn":        func(s string) bool { return strings.HasPrefix(s, "g-") },
	} {
		c := harness{}.config(s)
		c.GroupID = id
		p, err := look(t, open(t, c), "ada@example.com")
		if err != nil || len(p.Groups) != 2 || !right(p.Groups[0].ID) || !right(p.Groups[1].ID) {
			t.Errorf("%s: %+v, %v", id, p, err)
		}
	}
	c := harness{}.config(s)
	c.GroupID = "seeAlso" // which no group has
	if _, err := look(t, open(t, c), "ada@example.com"); !errors.Is(err, directory.ErrMalformed) {
		t.Errorf("groups without their id: %v", err)
	}
}

func TestUserIdentifiersStatesAndAttributes(t *testing.T) {
	w := adaOnly()
	ldif := strings.Replace(worldLDIF(w), "objectClass:: "+"dGVzdFBlcnNvbg==",
		"objectClass:: dGVzdFBlcnNvbg==\nuserPassword: secret-of-ada\npwdAccountLockedTime: 000001010000Z\njpegPhoto:: /9j/\ntelephoneNumber: 1\ntelephoneNumber: 2", 1)
	s := startSlapd(t, ldif)
	c := harness{}.config(s)
	p, err := look(t, open(t, c), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	u := p.User
	if len(u.ID) != 36 || u.Login != "ada@example.com" || u.Status != identity.StatusLockedOut || u.Created.IsZero() || u.LastUpdated.IsZero() {
		t.Errorf("user %+v", u)
	}
	if list, _ := u.Profile["telephoneNumber"].([]any); len(list) != 2 {
		t.Errorf("two values: %v", u.Profile["telephoneNumber"])
	}
	if list, _ := u.Profile["objectClass"].([]any); len(list) != 2 {
		t.Errorf("object classes: %v", u.Profile["objectClass"])
	}
	if u.Profile["userPassword"] != nil || u.Profile["jpegPhoto"] != nil || strings.Contains(fmt.Sprint(u.Profile), "secret-of-ada") {
		t.Errorf("the profile holds what it must not: %v", u.Profile)
	}
	c.UserID, c.Login, c.Attributes = "dn", "email", []string{"Department", "jpegPhoto", "telephoneNumber"}
	if p, err = look(t, open(t, c), "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	if p.User.ID != "cn="+directorytest.Ada+",ou=people,"+suffix || p.User.Login != "ada@example.com" || p.User.Status != identity.StatusLockedOut ||
		p.User.Profile["Department"] != "Engineering" || p.User.Profile["jpegPhoto"] != "/9j/" || len(p.User.Profile) != 3 {
		t.Errorf("user %+v", p.User)
	}
	c.UserID = "employeeNumber"
	if _, err := look(t, open(t, c), "ada@example.com"); !errors.Is(err, directory.ErrMalformed) {
		t.Errorf("a user without the id: %v", err)
	}
}

func TestGroupsMayComeFromTheUsersEntryOrNotAtAll(t *testing.T) {
	address := serve(t, func(w *gldap.ResponseWriter, r *gldap.Request, m *gldap.SearchMessage) {
		if strings.Contains(m.Filter, "member") {
			t.Error("groups were searched")
		}
		_ = w.Write(r.NewSearchResponseEntry("uid=ada,"+suffix, gldap.WithAttributes(map[string][]string{
			"uid": {"ada"}, "memberOf": {`cn=R\2C D+ou=x,` + suffix, "cn=IT," + suffix},
		})))
		done(w, r, gldap.ResultSuccess)
	})
	c := valid()
	c.URL, c.MemberOf = "ldap://"+address, true
	p, err := look(t, open(t, c), "ada")
	if err != nil || !p.GroupsKnown || !slices.Equal(names(p.Groups), []string{"IT", "R, D"}) || p.Groups[1].ID != "cn=IT,"+suffix {
		t.Errorf("memberOf: %+v, %v", p, err)
	}
	c.MemberOf, c.Groups = false, new(bool)
	if p, err = look(t, open(t, c), "ada"); err != nil || p.GroupsKnown || p.Groups != nil {
		t.Errorf("no groups: %+v, %v", p, err)
	}
}

func TestValuesThatComeInPartsAreMadeWhole(t *testing.T) {
	const total, part = 4000, 1500
	value := func(i int) string { return fmt.Sprintf("cn=g%04d,%s", i, suffix) }
	var cut atomic.Bool
	address := serve(t, func(w *gldap.ResponseWriter, r *gldap.Request, m *gldap.SearchMessage) {
		from := 0
		for _, a := range m.Attributes {
			if text, ok := strings.CutPrefix(a, "memberOf;range="); ok {
				from, _ = strconv.Atoi(strings.TrimSuffix(text, "-*"))
			}
		}
		end := min(from+part, total)
		name := fmt.Sprintf("memberOf;range=%d-%d", from, end-1)
		if end == total {
			name = fmt.Sprintf("memberOf;range=%d-*", from)
		}
		var values []string
		for i := from; i < end; i++ {
			values = append(values, value(i))
		}
		if cut.Load() && from > 0 {
			values = nil
		}
		_ = w.Write(r.NewSearchResponseEntry("uid=ada,"+suffix, gldap.WithAttributes(map[string][]string{"uid": {"ada"}, name: values})))
		done(w, r, gldap.ResultSuccess)
	})
	c := valid()
	c.URL, c.MemberOf = "ldap://"+address, true
	d := open(t, c)
	p, err := look(t, d, "ada")
	if err != nil || len(p.Groups) != total || p.Groups[total-1].ID != value(total-1) {
		t.Fatalf("%v, %v", p != nil, err)
	}
	if list, _ := p.User.Profile["memberOf"].([]any); len(list) != total {
		t.Errorf("%d values in the profile, want %d", len(list), total)
	}
	cut.Store(true)
	if _, err := look(t, d, "ada"); !errors.Is(err, directory.ErrMalformed) {
		t.Errorf("values that break off: %v", err)
	}
}

func TestReferralsAreNotFollowed(t *testing.T) {
	var elsewhere atomic.Int64
	other := directorytest.Listen(t, func(net.Conn) { elsewhere.Add(1) })
	ldif := worldLDIF(adaOnly()) + "dn: ou=away,dc=example,dc=test\nobjectClass: referral\nobjectClass: extensibleObject\nou: away\nref: ldap://" + other + "/dc=away\n\n"
	s := startSlapd(t, ldif)
	c := harness{}.config(s)
	p, err := look(t, open(t, c), "ada@example.com")
	if err != nil || len(p.Groups) != 2 {
		t.Errorf("beside a referral: %v, %v", p, err)
	}
	// Groups may be there too: those that were found are a part of them (C32).
	for _, nested := range []bool{false, true} {
		c.GroupBase, c.Nested = suffix, nested
		p, err = look(t, open(t, c), "ada@example.com")
		if err != nil || p.GroupsKnown || p.Groups != nil || p.GroupsUnknown != unknownReferred {
			t.Errorf("nested %v, groups beside a referral: %+v, %v", nested, p, err)
		}
	}
	c.Nested = false
	c.Base = "ou=away,dc=example,dc=test"
	if _, err := look(t, open(t, c), "ada@example.com"); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("a base on another server: %v", err)
	}
	if elsewhere.Load() != 0 {
		t.Error("another server was asked")
	}
}

func TestResultsThatAreNoAnswers(t *testing.T) {
	var code atomic.Int64
	address := serve(t, func(w *gldap.ResponseWriter, r *gldap.Request, _ *gldap.SearchMessage) {
		_ = w.Write(r.NewSearchDoneResponse(gldap.WithResponseCode(int(code.Load())), gldap.WithDiagnosticMessage("about ada in dc=secret")))
	})
	c := valid()
	c.URL = "ldap://" + address
	d := open(t, c)
	for n, want := range map[int64]error{
		1: directory.ErrUnavailable, 3: directory.ErrTimeout, 4: directory.ErrAmbiguous, 8: directory.ErrRefused, 10: directory.ErrUnavailable,
		11: directory.ErrTooLarge, 13: directory.ErrRefused, 32: directory.ErrUnavailable, 34: directory.ErrRejected, 48: directory.ErrRefused,
		50: directory.ErrRefused, 51: directory.ErrUnavailable, 52: directory.ErrUnavailable, 53: directory.ErrUnavailable, 80: directory.ErrUnavailable,
	} {
		code.Store(n)
		_, err := look(t, d, "ada")
		if !errors.Is(err, want) || errors.Is(err, directory.ErrNotFound) || strings.Contains(err.Error(), "secret") {
			t.Errorf("result %d: %v, want %v", n, err, want)
		}
	}
}

func TestASizeLimitOfTheServerIsNotAShorterList(t *testing.T) {
	address := serve(t, func(w *gldap.ResponseWriter, r *gldap.Request, m *gldap.SearchMessage) {
		if !strings.Contains(m.Filter, "member") {
			_ = w.Write(r.NewSearchResponseEntry("uid=ada,"+suffix, gldap.WithAttributes(map[string][]string{"uid": {"ada"}})))
			done(w, r, gldap.ResultSuccess)
			return
		}
		for i := range 10 {
			_ = w.Write(r.NewSearchResponseEntry(fmt.Sprintf("cn=g%d,%s", i, suffix), gldap.WithAttributes(map[string][]string{"cn": {"g"}})))
		}
		done(w, r, gldap.ResultSizeLimitExceeded)
	})
	c := valid()
	c.URL = "ldap://" + address
	if _, err := look(t, open(t, c), "ada"); !errors.Is(err, directory.ErrTooLarge) {
		t.Errorf("error %v, want ErrTooLarge", err)
	}
}

func TestConnectionsAreKeptAndReplaced(t *testing.T) {
	s := startSlapd(t, worldLDIF(adaOnly()))
	var mu sync.Mutex
	var made []net.Conn
	c := harness{}.config(s)
	c.Connections = 2
	c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		mu.Lock()
		defer mu.Unlock()
		made = append(made, conn)
		return conn, err
	}
	d := open(t, c)
	for range 5 {
		if _, err := look(t, d, "ada@example.com"); err != nil {
			t.Fatal(err)
		}
	}
	if len(made) != 1 {
		t.Errorf("%d connections for look-ups one after the other, want 1", len(made))
	}
	_ = made[0].Close() // as a server or firewall does, without a word
	if _, err := look(t, d, "ada@example.com"); err != nil {
		t.Errorf("after the connection died: %v", err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := look(t, d, "ada@example.com"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(made) > 4 {
		t.Errorf("%d connections, want no more than two at once", len(made))
	}
	if _, err := look(t, d, "nobody"); !errors.Is(err, directory.ErrNotFound) {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := look(t, d, "ada@example.com"); !errors.Is(err, directory.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	defer cachetest.NothingLeft(t, goleak.IgnoreCurrent())
	t.Run("look-ups", func(t *testing.T) {
		s := startSlapd(t, worldLDIF(adaOnly()))
		d := open(t, harness{}.config(s))
		if _, err := look(t, d, "ada@example.com"); err != nil {
			t.Fatal(err)
		}
		cachetest.Halt(t, s.process)
		short, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		for range 3 {
			if _, err := d.Person(short, directorytest.Query("ada@example.com")); !errors.Is(err, directory.ErrTimeout) && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a server that hangs: %v", err)
			}
		}
	})
}

func BenchmarkPerson(b *testing.B) {
	s := startSlapd(b, worldLDIF(directorytest.NewWorld()))
	d := open(b, harness{}.config(s))
	for _, c := range []struct{ name, subject string }{{"2 groups", "ada@example.com"}, {"1203 groups", "busy@example.com"}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := look(b, d, c.subject); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
