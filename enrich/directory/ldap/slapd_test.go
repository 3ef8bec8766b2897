//go:build linux

package ldap

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
)

const (
	suffix   = "dc=example,dc=test"
	readerDN = "cn=reader," + suffix
	password = "reader-password-7f3a"
)

// slapd is a real OpenLDAP server of its own, on ports of its own.
type slapd struct {
	plain, tls string // addresses
	ca         string
	process    *os.Process
}

// startSlapd brings up a server that holds an LDIF below the suffix.
func startSlapd(t testing.TB, ldif string) *slapd {
	t.Helper()
	for _, program := range []string{"/usr/sbin/slapd", "/usr/sbin/slapadd"} {
		if _, err := os.Stat(program); err != nil {
			t.Fatalf("%s is needed: apt-get install slapd", program)
		}
	}
	folder := t.TempDir()
	s := &slapd{plain: cachetest.FreeAddr(t), tls: cachetest.FreeAddr(t), ca: filepath.Join(folder, "cert.pem")}
	if err := directorytest.WriteCertificate(s.ca, filepath.Join(folder, "key.pem")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(folder, "slapd.conf")
	write(t, conf, strings.ReplaceAll(slapdConf, "FOLDER", folder))
	seed := filepath.Join(folder, "seed.ldif")
	write(t, seed, baseLDIF+ldif)
	if out, err := exec.CommandContext(t.Context(), "/usr/sbin/slapadd", "-q", "-f", conf, "-l", seed).CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	// Clean-up ends it, after those who still speak to it.
	cmd := exec.CommandContext(context.Background(), "/usr/sbin/slapd", "-d", "0", "-f", conf, "-h", "ldap://"+s.plain+"/ ldaps://"+s.tls+"/")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.process = cmd.Process
	t.Cleanup(func() {
		_ = s.process.Signal(syscall.SIGCONT)
		_ = s.process.Kill()
		_ = cmd.Wait()
	})
	await(t, s.plain)
	await(t, s.tls)
	return s
}

func await(t testing.TB, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("slapd does not listen: %v", err)
		}
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The server knows the attributes of the suite's world by their own names, and
// gives no search more than 500 entries at once.
const slapdConf = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
attributetype ( 1.3.6.1.4.1.99999.1 NAME 'firstName' SUP name )
attributetype ( 1.3.6.1.4.1.99999.2 NAME 'lastName' SUP name )
attributetype ( 1.3.6.1.4.1.99999.4 NAME 'department' SUP name )
attributetype ( 1.3.6.1.4.1.99999.5 NAME 'nsAccountLock' SUP name )
attributetype ( 1.3.6.1.4.1.99999.6 NAME 'objectSid' EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.99999.7 NAME 'primaryGroupID' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.99999.8 NAME 'testAccount' SUP top AUXILIARY MAY ( objectSid $ primaryGroupID ) )
objectclass ( 1.3.6.1.4.1.99999.9 NAME 'testPerson' SUP top AUXILIARY MAY ( firstName $ lastName $ email $ department $ nsAccountLock ) )
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload ppolicy
pidfile FOLDER/slapd.pid
argsfile FOLDER/slapd.args
TLSCertificateFile FOLDER/cert.pem
TLSCertificateKeyFile FOLDER/key.pem
sizelimit size.soft=500 size.hard=500 size.prtotal=unlimited
database mdb
suffix "dc=example,dc=test"
rootdn "cn=admin,dc=example,dc=test"
rootpw adminpw
directory FOLDER/db
maxsize 1073741824
index objectClass,uid,member eq
overlay memberof
overlay ppolicy
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=reader,dc=example,dc=test" read by anonymous auth by * none
`

const baseLDIF = `dn: dc=example,dc=test
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,dc=example,dc=test
objectClass: organizationalUnit
ou: people

dn: ou=others,dc=example,dc=test
objectClass: organizationalUnit
ou: others

dn: ou=groups,dc=example,dc=test
objectClass: organizationalUnit
ou: groups

dn: cn=reader,dc=example,dc=test
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: ` + password + `

`

// worldLDIF writes a world: a user's uid is the login, a group's cn the id and
// its ou the name.
func worldLDIF(w directorytest.World) string {
	var b strings.Builder
	line := func(name, value string) {
		fmt.Fprintf(&b, "%s:: %s\n", name, base64.StdEncoding.EncodeToString([]byte(value)))
	}
	members := map[string][]string{}
	for _, u := range w.Users {
		dn := "cn=" + u.ID + ",ou=people," + suffix
		line("dn", dn)
		for _, c := range []string{"inetOrgPerson", "testPerson"} {
			line("objectClass", c)
		}
		line("cn", u.ID)
		line("sn", u.ID)
		line("uid", u.Login)
		for name, v := range u.Profile {
			line(name, v.(string))
		}
		if u.Disabled() {
			line("nsAccountLock", "TRUE")
		}
		b.WriteString("\n")
		for _, g := range u.Groups {
			members[g] = append(members[g], dn)
		}
	}
	for _, g := range w.Groups {
		writeGroup(&b, g.ID, g.Name, members[g.ID]...)
	}
	return b.String()
}

// writeGroup writes a group; one without members gets one that does not exist.
func writeGroup(b *strings.Builder, id, name string, members ...string) {
	if len(members) == 0 {
		members = []string{"cn=nobody," + suffix}
	}
	fmt.Fprintf(b, "dn: cn=%s,ou=groups,%s\nobjectClass: groupOfNames\ncn: %s\nou:: %s\n", id, suffix, id, base64.StdEncoding.EncodeToString([]byte(name)))
	for _, m := range members {
		fmt.Fprintf(b, "member: %s\n", m)
	}
	b.WriteString("\n")
}
