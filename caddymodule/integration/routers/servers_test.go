package routers

import (
	"context"
	"embed"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// This file starts the applications that run in processes of their own.

//go:embed testdata
var testdata embed.FS

const (
	serverStart = 2 * time.Minute // ends a broken test on a busy machine, and judges nothing
	serverStop  = 10 * time.Second
)

// start runs a server until the test ends, in a folder. What it says is logged
// where the test fails.
func start(t *testing.T, dir string, command ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) // #nosec G204 -- the tests' own
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = serverStop
	said, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: ./test.sh installs it or says how", err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		_ = said.Close()
		if text, err := os.ReadFile(said.Name()); err == nil && t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(command[0]), text)
		}
	})
}

// listens returns when something listens at an address.
func listens(t *testing.T, addr string) {
	t.Helper()
	cachetest.Eventually(t, serverStart, "something listens at "+addr, func() bool {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// read returns a file of testdata with words replaced, in pairs.
func read(t *testing.T, name string, pairs ...string) []byte {
	t.Helper()
	text, err := testdata.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.NewReplacer(pairs...).Replace(string(text)))
}

func write(t *testing.T, text []byte, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// binary finds a server that Debian installs outside the users' PATH.
func binary(t *testing.T, pattern string) string {
	t.Helper()
	found, _ := filepath.Glob(pattern)
	if len(found) == 0 {
		t.Fatalf("%s is missing: ./test.sh installs it or says how", pattern)
	}
	return found[len(found)-1]
}

// proxied is an application that speaks HTTP.
func proxied(name, addr string) application {
	return application{name: name, proxy: "reverse_proxy " + addr}
}

// startNode runs the routers on Node.
func startNode(t *testing.T, files string) []application {
	t.Helper()
	ports := strings.Fields(enrichtest.StartNode(t, enrichtest.NodeProgram{
		Name: "the routers on Node", Script: read(t, "express/server.mjs"), Lock: read(t, "express/package-lock.json"),
		Env: []string{"FILES=" + files, "NODE_ENV=test"},
	}))
	var all []application
	for i, name := range []string{"express-routes", "express-mounts", "express-files", "node-url"} {
		all = append(all, proxied(name, "127.0.0.1:"+ports[i]))
	}
	return all
}

// startFlask runs Flask on the server that comes with it.
func startFlask(t *testing.T) []application {
	t.Helper()
	port := cachetest.FreePort(t)
	dir := t.TempDir()
	start(t, dir, "/usr/bin/python3", write(t, read(t, "flask_app.py"), dir, "app.py"), port)
	listens(t, "127.0.0.1:"+port)
	return []application{proxied("flask", "127.0.0.1:"+port)}
}

// startPHP runs PHP behind Caddy, in each way to read REQUEST_URI. It returns
// the address of its FastCGI, and the root of its files too.
func startPHP(t *testing.T) (all []application, addr, root string) {
	t.Helper()
	dir := t.TempDir()
	addr, root = cachetest.FreeAddr(t), filepath.Join(dir, "root")
	write(t, read(t, "index.php"), root, "index.php")
	config := write(t, []byte("[global]\nerror_log = /dev/stderr\n[routers]\nlisten = "+addr+"\npm = static\npm.max_children = 4\n"), dir, "fpm.conf")
	start(t, dir, binary(t, "/usr/sbin/php-fpm[0-9]*"), "--nodaemonize", "--no-php-ini", "--allow-to-run-as-root", "--fpm-config", config)
	listens(t, addr)
	for _, way := range []string{"parse_url", "decoded", "segments", "lenient"} {
		all = append(all, application{
			name:  "php-" + strings.ReplaceAll(way, "_", "-"),
			proxy: "root * " + root + "\nphp_fastcgi " + addr + " {\nenv ROUTER " + way + "\n}",
		})
	}
	return all, addr, root
}

// startNginx runs nginx: as the application, and as a second proxy before
// another one.
func startNginx(t *testing.T, behind, php, root string) []application {
	t.Helper()
	dir := t.TempDir()
	plain, folding, proxy, cgi := cachetest.FreePort(t), cachetest.FreePort(t), cachetest.FreePort(t), cachetest.FreePort(t)
	config := write(t, read(t, "nginx.conf", "GO", behind, "PHP", php, "ROOT", root, "PLAIN", plain, "FOLDING", folding, "PROXY", proxy, "CGI", cgi), dir, "nginx.conf")
	start(t, dir, binary(t, "/usr/sbin/nginx"), "-p", dir, "-c", config, "-e", "stderr")
	var all []application
	for _, s := range [][2]string{{"nginx", plain}, {"nginx-folding", folding}, {"nginx-go", proxy}, {"nginx-php", cgi}} {
		listens(t, "127.0.0.1:"+s[1])
		all = append(all, proxied(s[0], "127.0.0.1:"+s[1]))
	}
	return all
}

// startTomcat runs Tomcat with two connectors, one of which takes the encoded
// slashes and the backslashes that the other refuses.
func startTomcat(t *testing.T) []application {
	t.Helper()
	const home = "/usr/share/tomcat10"
	dir := t.TempDir()
	write(t, read(t, "tomcat/server.xml"), dir, "conf", "server.xml")
	write(t, read(t, "tomcat/defaults.xml"), dir, "conf", "web.xml")
	write(t, read(t, "tomcat/web.xml"), dir, "app", "WEB-INF", "web.xml")
	for _, area := range []string{admin, public, other, none} {
		write(t, []byte("<%@ page contentType=\"text/plain\" session=\"false\" %>area:"+area), dir, "app", "WEB-INF", area+".jsp")
	}
	if err := os.MkdirAll(filepath.Join(dir, "temp"), 0o750); err != nil {
		t.Fatal(err)
	}
	strict, lenient := cachetest.FreePort(t), cachetest.FreePort(t)
	start(t, dir, "java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m",
		"-Dcatalina.home="+home, "-Dcatalina.base="+dir, "-Djava.io.tmpdir="+filepath.Join(dir, "temp"), "-Dport.strict="+strict, "-Dport.lenient="+lenient,
		"-classpath", home+"/bin/bootstrap.jar:"+home+"/bin/tomcat-juli.jar", "org.apache.catalina.startup.Bootstrap", "start")
	var all []application
	for _, s := range [][2]string{{"tomcat", strict}, {"tomcat-lenient", lenient}} {
		cachetest.Eventually(t, serverStart, "Tomcat answers", func() bool { return answers(t, "http://127.0.0.1:"+s[1]+"/admin/") })
		all = append(all, proxied(s[0], "127.0.0.1:"+s[1]))
	}
	return all
}

// answers reports whether a URL is served.
func answers(t *testing.T, url string) bool {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
