package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// sharing is a policy whose decisions need a user, an app and an app user.
func sharing(w *world) string {
	return `token_enrich_ready /ready
	token_enrich {
		name payroll
		claim login user.login
		claim groups groups regex .*
		claim limit app.profile.maxLimit {
			on_error omit
		}
		claim role appuser.role {
			on_error omit
		}
		header X-User login
		header X-Groups groups
		header X-Role role
	}
	reverse_proxy ` + w.legacy.Addr()
}

// withRedis is the option that shares records. Its calls may take long: a busy
// machine is not what is tested.
func withRedis(url string, options ...string) string {
	return "cache {\nredis " + url + " {\ntimeout 5s\n}\n" + strings.Join(options, "\n") + "\n}"
}

// tier is the status of the shared tier.
func (w *world) tier() map[string]any {
	w.t.Helper()
	return part(w.t, w.status(), "tiers", "redis")
}

// shares waits until the shared tier answers and the purge log was read:
// before that, nothing is shared.
func (w *world) shares() {
	w.t.Helper()
	eventually(w.t, "Redis answers", func() bool {
		if w.get("/ready", "").body != "ready\n" {
			return false
		}
		purges, _ := w.status()["purge_log"].(map[string]any)
		age, known := purges["age_seconds"].(float64)
		return known && age >= 0
	})
}

// open gives a client of the server itself.
func open(t *testing.T, server *cachetest.Redis) *goredis.Client {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// records are the keys under which records stand; the purge log and the marks
// of the nodes are of other kinds.
func records(t *testing.T, c *goredis.Client) []string {
	t.Helper()
	keys, _, err := c.ScanType(t.Context(), 0, "token_enrich:*", 1000, "string").Result()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// everythingIn is all that a server holds, in plain: keys, values as its own
// tool shows them, and the dump of each.
func everythingIn(t *testing.T, server *cachetest.Redis) (keys []string, text string) {
	t.Helper()
	cli := func(args ...string) string {
		out, err := exec.CommandContext(patience(t), "redis-cli", append([]string{"-h", "127.0.0.1", "-p", server.Port(), "--no-auth-warning"}, args...)...).Output()
		if err != nil {
			t.Fatalf("redis-cli %v: %v", args, err)
		}
		return string(out)
	}
	scan := cli("--scan")
	keys = strings.Fields(scan)
	var b strings.Builder
	b.WriteString(scan)
	c := open(t, server)
	for _, key := range keys {
		dump, err := c.Dump(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(dump)
		switch kind := strings.TrimSpace(cli("TYPE", key)); kind {
		case "string":
			b.WriteString(c.Get(t.Context(), key).Val())
		case "zset":
			b.WriteString(cli("ZRANGE", key, "0", "-1", "WITHSCORES"))
		case "stream":
			b.WriteString(cli("XRANGE", key, "-", "+"))
		case "hash":
			b.WriteString(cli("HGETALL", key))
		default:
			t.Errorf("%s is a %s, which this test does not read", key, kind)
		}
	}
	return keys, b.String()
}

func TestRecordOfOneNodeServesAnother(t *testing.T) {
	server := cachetest.StartRedis(t, "--rdbcompression", "no")
	w := prepare(t)
	w.load(sharing(w), w.standard(), withRedis(server.URL()))
	w.shares()
	incoming := w.token("00u1ada", enrichtest.Claims{"jti": "jti-of-the-test", "sid": "sid-of-the-test"})
	wantStatus(t, w.get("/", incoming), 200)
	first := w.received()
	wantHeader(t, first, "X-Role", "admin")
	client := open(t, server)
	eventually(t, "user, app and app user are in Redis", func() bool { return len(records(t, client)) == 3 })

	// Another process, which finds the seal key in the storage.
	other := w.second(sharing(w), w.standard(), withRedis(server.URL()))
	other.shares()
	wantStatus(t, other.get("/", incoming), 200)
	if a, b := fmt.Sprint(first.Values("X-Groups"), first.Values("X-User"), first.Values("X-Role")), w.received(); a != fmt.Sprint(b.Values("X-Groups"), b.Values("X-User"), b.Values("X-Role")) {
		t.Errorf("the second node forwards %v, the first %s", b.Fields, a)
	}
	if asked, hits := other.metric("directory_requests_total"), other.metric("cache_requests_total", "tier", "redis", "result", "hit"); asked != 0 || hits != 3 {
		t.Errorf("the second node asked its directory %v times and found %v records in Redis, want 0 and 3", asked, hits)
	}
	key, err := os.ReadFile(filepath.Join(filepath.Dir(w.log), "token_enrich", "seal.key"))
	if err != nil {
		t.Fatal(err)
	}

	keys, text := everythingIn(t, server)
	for _, name := range keys {
		if !strings.HasPrefix(name, "token_enrich:v1:") {
			t.Errorf("a key outside the prefix: %s", name)
		}
	}
	for _, person := range []string{
		"ada@example.com", "00u1ada", "Ampere", "00gIT", "00gAll", "Everyone", "Engineering", "0oa1payroll", "grouplallow", "maxLimit", "admin",
		"jti-of-the-test", "sid-of-the-test", w.issuer.Issuer(), strings.TrimSpace(string(key)),
	} {
		if strings.Contains(text, person) {
			t.Errorf("Redis holds %q", person)
		}
	}
	wantNoToken(t, "Redis", text, incoming)
	for _, name := range keys {
		if ttl, err := client.TTL(t.Context(), name).Result(); err != nil || ttl <= 0 && !strings.Contains(name, "log") {
			t.Errorf("%s lives for %v: %v", name, ttl, err)
		}
	}
}

// busy sends requests that all need a record which this node does not hold.
func (w *world) busy(from, to int) {
	w.t.Helper()
	for i := from; i < to; i++ {
		// Each client is another app for the directory.
		got := w.get("/", w.token("00u1ada", enrichtest.Claims{"cid": fmt.Sprint("app", i)}))
		wantStatus(w.t, got, 200)
		wantHeader(w.t, w.received(), "X-User", "ada@example.com")
	}
}

// reads counts the records that a server was asked for, by its log of all
// commands: the breaker's own probes, whose number depends on how long a
// failure lasts, read a name of their own.
func reads(t *testing.T, c *goredis.Client) (n int) {
	t.Helper()
	commands, err := c.SlowLogGet(t.Context(), -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range commands {
		if strings.EqualFold(command.Args[0], "getrange") && !strings.HasSuffix(command.Args[1], ":probe") {
			n++
		}
	}
	return n
}

func TestRedisThatIsPausedKilledAndRestartedFailsNoRequest(t *testing.T) {
	server := cachetest.StartRedis(t, "--slowlog-log-slower-than", "0", "--slowlog-max-len", "100000")
	w := prepare(t)
	w.load(sharing(w), w.standard(), "cache {\nredis "+server.URL()+"\n}")
	w.shares()
	w.busy(0, 5)
	errors := func() float64 { return w.metric("cache_requests_total", "tier", "redis", "result", "error") }

	client := open(t, server)
	before, read := errors(), reads(t, client)
	if read < 5 {
		t.Fatalf("%d questions of five requests for what this node does not hold", read)
	}
	server.Pause()
	w.busy(5, 30)
	if ready := w.get("/ready", ""); ready.StatusCode != 200 || ready.body != "degraded\n" {
		t.Errorf("/ready answers %d %q", ready.StatusCode, ready.body)
	}
	wantMembers(t, "the paused tier", w.tier(), map[string]any{"ready": false, "last_error": "timeout"})
	if failed := errors() - before; failed < 25 {
		t.Errorf("%v questions to the paused server failed, want one for each request at least", failed)
	}
	server.Resume()
	w.shares()
	// One request found out, with the questions that it asks at once; all
	// others were kept away by the breaker.
	if sent := reads(t, client) - read; sent > 4 {
		t.Errorf("%d questions were sent to the paused server", sent)
	}
	w.busy(30, 35)

	server.Kill()
	w.busy(35, 50)
	eventually(t, "the gateway says that Redis is down", func() bool { return w.get("/ready", "").body == "degraded\n" })
	wantMembers(t, "the killed tier", w.tier(), map[string]any{"ready": false})
	wantNobody(t, "the status", w.adminDo("GET", "/token_enrich/status", "").body)

	server.Restart()
	w.shares()
	w.busy(50, 55)
	eventually(t, "records are shared again", func() bool { return len(records(t, client)) > 0 })
}

// wantUnusable fails the test unless status and readiness say that Redis does
// not serve, and why, without that a request had to find out.
func (w *world) wantUnusable(t *testing.T, class string) {
	t.Helper()
	log := func() map[string]any {
		m, _ := w.status()["purge_log"].(map[string]any)
		return m
	}
	eventually(t, "the purge log cannot be read", func() bool { return log()["last_error"] == class })
	wantMembers(t, "the purge log", log(), map[string]any{"ready": false, "shared": true})
	if ready := w.get("/ready", ""); ready.StatusCode != 200 || ready.body != "degraded\n" {
		t.Errorf("/ready answers %d %q", ready.StatusCode, ready.body)
	}
	if !strings.Contains(w.logged(), `"error":"`+class+`"`) {
		t.Errorf("the log does not name the class %s", class)
	}
}

func TestRedisThatRefusesThePasswordIsNamedAndFailsNoRequest(t *testing.T) {
	server := cachetest.StartRedis(t, "--requirepass", "right-password")
	w := prepare(t)
	const wrong = "wrong-password"
	w.load(sharing(w), w.standard(), withRedis("redis://:"+wrong+"@"+server.Addr, "seal_key "+sealKeyText))
	w.busy(0, 3)
	w.wantUnusable(t, "auth")
	for what, text := range map[string]string{"the log": w.logged(), "the status": w.adminDo("GET", "/token_enrich/status", "").body, "the metrics": w.metricsText()} {
		if strings.Contains(text, wrong) {
			t.Errorf("%s holds the password", what)
		}
	}
	// The right one, in a file, after a reload.
	file := filepath.Join(t.TempDir(), "password")
	w.write(file, "right-password")
	w.load(sharing(w), w.standard(), "cache {\nredis "+server.URL()+" {\ntimeout 5s\npassword {file."+file+"}\n}\n}")
	w.shares()
	w.busy(3, 5)
	if text := w.adminDo("GET", "/config/", "").body; strings.Contains(text, "right-password") {
		t.Error("the configuration's dump holds the password")
	}
}

func TestRedisOverTLSWithLeastRights(t *testing.T) {
	acl := filepath.Join(t.TempDir(), "acl")
	const rights = "user default off\nuser gateway on >right ~token_enrich:* -@all +@connection +getrange +set +del " +
		"+xadd +xread +xrange +xrevrange +xtrim +zadd +zrangebyscore +zremrangebyscore +pexpire +info\n"
	if err := os.WriteFile(acl, []byte(rights), 0o600); err != nil {
		t.Fatal(err)
	}
	pki := cachetest.NewPKI(t)
	server := cachetest.StartTLSRedis(t, pki, "--aclfile", acl)
	w := prepare(t)
	options := func(tls string) string {
		return "cache {\nredis rediss://gateway:right@" + server.Addr + " {\ntimeout 5s\ntls {\n" + tls + "\n}\n}\nseal_key " + sealKeyText + "\n}"
	}
	ours := "cert " + pki.ClientCert + "\nkey " + pki.ClientKey
	w.load(sharing(w), w.standard(), options("ca "+pki.CA+"\n"+ours))
	w.shares()
	w.busy(0, 3)
	for name, tls := range map[string]string{"an authority that we do not trust": ours, "another name": "ca " + pki.CA + "\n" + ours + "\nserver_name redis.example.com"} {
		t.Run(name, func(t *testing.T) {
			w.load(sharing(w), w.standard(), options(tls))
			w.busy(3, 5)
			w.wantUnusable(t, "tls")
		})
	}
}

func TestNodesWithDifferentSealKeysSaySo(t *testing.T) {
	const first, second = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "HxECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	server := cachetest.StartRedis(t)
	w := prepare(t)
	w.load(sharing(w), w.standard(), withRedis(server.URL(), "seal_key "+first))
	w.shares()
	w.busy(0, 1)
	if split := w.tier()["split"]; split != nil {
		t.Errorf("a node by itself is split: %v", split)
	}
	client := open(t, server)
	eventually(t, "the first node's mark", func() bool { return client.ZCard(t.Context(), "token_enrich:v1:rings").Val() == 1 })

	other := w.second(sharing(w), w.standard(), withRedis(server.URL(), "seal_key "+second))
	eventually(t, "the second node sees the other key", func() bool { return other.tier()["split"] == true })
	eventually(t, "the second node says that it is degraded", func() bool {
		ready := other.get("/ready", "")
		return ready.StatusCode == 200 && ready.body == "degraded\n"
	})
	if text := other.logged(); !strings.Contains(text, "not the seal key") {
		t.Error("the log does not speak of the seal key")
	}
	other.busy(0, 1)
	if hits := other.metric("cache_requests_total", "tier", "redis", "result", "hit"); hits != 0 {
		t.Errorf("it opened %v records of the other", hits)
	}
	for _, key := range []string{first, second} {
		if strings.Contains(other.logged()+w.logged()+other.adminDo("GET", "/token_enrich/status", "").body, key) {
			t.Error("a seal key is shown")
		}
	}
}

func TestSealKeysOfOldAndNewOpenWhatEitherSealed(t *testing.T) {
	const old, latest = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "HxECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	server := cachetest.StartRedis(t)
	w := prepare(t)
	w.load(sharing(w), w.standard(), withRedis(server.URL(), "seal_key "+old))
	w.shares()
	wantStatus(t, w.get("/", w.token("00u1ada")), 200)
	client := open(t, server)
	eventually(t, "user, app and app user are in Redis", func() bool { return len(records(t, client)) == 3 })
	w.load(sharing(w), w.standard(), withRedis(server.URL(), "seal_key "+latest+" "+old))
	w.shares()
	asked := w.metric("directory_requests_total")
	hits := w.metric("cache_requests_total", "tier", "redis", "result", "hit")
	wantStatus(t, w.get("/", w.token("00u1ada")), 200)
	if got := w.metric("cache_requests_total", "tier", "redis", "result", "hit"); got != hits+3 || w.metric("directory_requests_total") != asked {
		t.Errorf("%v records were found, want three, and the directory was asked %v times", got-hits, w.metric("directory_requests_total")-asked)
	}
}

func TestEditedEntryIsAMissAndRaisesAMetric(t *testing.T) {
	server := cachetest.StartRedis(t)
	w := prepare(t)
	const key = "seal_key AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	w.load(sharing(w), w.standard(), withRedis(server.URL(), key))
	w.shares()
	wantStatus(t, w.get("/", w.token("00u1ada")), 200)
	client := open(t, server)
	var edited int
	eventually(t, "user, app and app user are in Redis", func() bool { return len(records(t, client)) == 3 })
	for _, name := range records(t, client) {
		value := []byte(client.Get(t.Context(), name).Val())
		value[len(value)-1] ^= 1
		if err := client.Set(t.Context(), name, value, goredis.KeepTTL).Err(); err != nil {
			t.Fatal(err)
		}
		edited++
	}
	// A store that has nothing in memory.
	w.load(sharing(w), w.standard(), withRedis(server.URL(), key, "memory 64MiB"))
	w.shares()
	wantStatus(t, w.get("/", w.token("00u1ada")), 200)
	if got := w.metric("cache_unseal_failures_total"); got != float64(edited) {
		t.Errorf("%v failures for %d edited entries", got, edited)
	}
}
