//go:build linux

package ldap

import (
	"encoding/base64"
	"io"
	"math"
	"net"
	"strings"
	"testing"

	"github.com/jimlambrt/gldap"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// harness runs the suite against a real slapd. Only what slapd cannot be made
// to answer comes from a server written for it.
type harness struct{ startTLS bool }

func (h harness) config(s *slapd) Config {
	c := Config{
		URL: "ldaps://" + s.tls, CAFile: s.ca, BindDN: readerDN, BindPassword: password,
		Base: suffix, GroupBase: "ou=groups," + suffix, GroupID: "cn", GroupName: "ou",
	}
	if h.startTLS {
		c.URL, c.StartTLS = "ldap://"+s.plain, true
	}
	return c
}

func (h harness) Open(t *testing.T, w directorytest.World, f directorytest.Fault) directory.Directory {
	var c Config
	switch f {
	case directorytest.Broken:
		c = valid()
		c.URL = "ldap://" + directorytest.Listen(t, func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>")
		})
	case directorytest.Foreign:
		c = valid()
		c.URL = "ldap://" + serveForeign(t, w.Users[len(w.Users)-1])
	case directorytest.Down:
		c = valid()
		c.URL = "ldap://" + cachetest.FreeAddr(t)
	default:
		ldif := worldLDIF(w)
		switch f {
		case directorytest.Ambiguous:
			twin := w.Users[0]
			ldif += strings.ReplaceAll(worldLDIF(directorytest.World{Users: []directorytest.User{twin}}),
				base64.StdEncoding.EncodeToString([]byte("cn="+twin.ID+",ou=people,"+suffix)),
				base64.StdEncoding.EncodeToString([]byte("cn="+twin.ID+",ou=others,"+suffix)))
		case directorytest.Huge:
			photo := base64.StdEncoding.EncodeToString(make([]byte, directory.MaxResponse+2<<20))
			ldif = strings.Replace(ldif, "firstName::", "jpegPhoto:: "+photo+"\nfirstName::", 1)
		case directorytest.Incomplete:
			ldif += "dn: ou=away,ou=groups," + suffix + "\nobjectClass: referral\nobjectClass: extensibleObject\nou: away\nref: ldap://127.0.0.1:1/ou=away\n\n"
		default: // what the fault is about is not the data
		}
		s := startSlapd(t, ldif)
		c = h.config(s)
		switch f {
		case directorytest.Slow:
			cachetest.Halt(t, s.process)
		case directorytest.Refusing:
			c.BindPassword = password + "x"
		case directorytest.Cut:
			h.cut(t, &c, w.Users[0].User)
		default: // all is well but for the data
		}
	}
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func (harness) Query(u identity.User) directory.Query { return directorytest.Query(u.Login) }

func (harness) Lacks() map[directorytest.Capability]string {
	return map[directorytest.Capability]string{
		directorytest.Apps:     "LDAP has no notion of apps",
		directorytest.AppUsers: "LDAP has no notion of assignments",
	}
}

func (harness) Secret() string { return password }

// CanBeIncomplete implements directorytest.PartialHarness.
func (harness) CanBeIncomplete() bool { return true }

func TestConformanceOverLDAPS(t *testing.T)    { directorytest.Run(t, harness{}) }
func TestConformanceOverStartTLS(t *testing.T) { directorytest.Run(t, harness{startTLS: true}) }

// cut puts a way to the server before it that breaks off shortly before the
// end of what the server has to say about a user.
func (h harness) cut(t *testing.T, c *Config, u identity.User) {
	scheme, address, _ := strings.Cut(c.URL, "://")
	whole := make(chan int64, 1)
	c.URL = scheme + "://" + directorytest.TruncatingProxy(t, address, math.MaxInt64, whole)
	d, err := New(*c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Person(t.Context(), h.Query(u)); err != nil {
		t.Fatal(err)
	}
	_ = d.Close()
	c.URL = scheme + "://" + directorytest.TruncatingProxy(t, address, <-whole-100, make(chan int64, 1))
}

// serve gives the address of a server that a test writes by hand. It accepts
// every bind.
func serve(t *testing.T, search func(*gldap.ResponseWriter, *gldap.Request, *gldap.SearchMessage)) string {
	t.Helper()
	server, err := gldap.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	mux, err := gldap.NewMux()
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(mux.Bind(func(w *gldap.ResponseWriter, r *gldap.Request) {
		_ = w.Write(r.NewBindResponse(gldap.WithResponseCode(gldap.ResultSuccess)))
	}))
	must(mux.Search(func(w *gldap.ResponseWriter, r *gldap.Request) {
		m, err := r.GetSearchMessage()
		if err != nil {
			return
		}
		search(w, r, m)
	}))
	must(server.Router(mux))
	address := cachetest.FreeAddr(t)
	go func() { _ = server.Run(address) }()
	t.Cleanup(func() { _ = server.Stop() })
	await(t, address)
	return address
}

func done(w *gldap.ResponseWriter, r *gldap.Request, code int) {
	_ = w.Write(r.NewSearchDoneResponse(gldap.WithResponseCode(code)))
}

// serveForeign answers with one user whoever is asked for.
func serveForeign(t *testing.T, u directorytest.User) string {
	return serve(t, func(w *gldap.ResponseWriter, r *gldap.Request, _ *gldap.SearchMessage) {
		e := r.NewSearchResponseEntry("cn="+u.ID+","+suffix, gldap.WithAttributes(map[string][]string{"uid": {u.Login}}))
		_ = w.Write(e)
		done(w, r, gldap.ResultSuccess)
	})
}
