package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRedisWithoutAnAddressMeansMemoryOnly(t *testing.T) {
	text, err := os.ReadFile("../../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DEV_DIR", filepath.Join("..", "..", "examples", "dev"))
	for url, want := range map[string]bool{"": false, "redis://127.0.0.1:6379": true} {
		t.Setenv("REDIS_URL", url)
		config, err := adapt(string(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(config), `"redis":`); got != want {
			t.Errorf("with REDIS_URL=%q the configuration has a Redis: %v", url, got)
		}
	}
	w := prepare(t)
	w.load(sharing(w), w.standard(), "cache {\nredis {$TOKEN_ENRICH_TEST_NO_REDIS} {\npassword x\ntimeout 50ms\n}\n}")
	w.busy(0, 1)
	if ready := w.get("/ready", ""); ready.body != "ready\n" {
		t.Errorf("/ready answers %q", ready.body)
	}
	for _, tier := range w.status()["tiers"].([]any) {
		if m, _ := tier.(map[string]any); m["name"] != "memory" {
			t.Errorf("there is a tier %v", m)
		}
	}
	if got := w.metric("cache_requests_total", "tier", "redis"); got != 0 {
		t.Errorf("Redis was asked %v times", got)
	}
}

func TestRedisOptionsThatAreWrongDoNotLoad(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.pem")
	for _, tc := range []struct{ name, options, want string }{
		{"another scheme", "redis http://127.0.0.1", "redis"},
		{"a port that is none", "redis redis://127.0.0.1:0", "port"},
		{"a host that is none", "redis redis://", "host"},
		{"options in the address", "redis redis://127.0.0.1?timeout=1s", "options"},
		{"two addresses in one line", "redis redis://127.0.0.1 redis://127.0.0.2", "redis"},
		{"two blocks", "redis redis://127.0.0.1\nredis redis://127.0.0.2", "redis"},
		{"an unknown option", "redis redis://127.0.0.1 {\npasword x\n}", `did you mean "password"`},
		{"an option twice", "redis redis://127.0.0.1 {\ndb 1\ndb 2\n}", "db"},
		{"a database that is no number", "redis redis://127.0.0.1 {\ndb one\n}", "db"},
		{"a negative database", "redis redis://127.0.0.1 {\ndb -1\n}", "db"},
		{"two databases", "redis redis://127.0.0.1/1 {\ndb 2\n}", "database"},
		{"a database of a cluster", "redis {\naddress 127.0.0.1:7000 127.0.0.1:7001\ndb 1\n}", "cluster"},
		{"a time-out that is none", "redis redis://127.0.0.1 {\ntimeout soon\n}", "timeout"},
		{"a time-out that is too long", "redis redis://127.0.0.1 {\ntimeout 1h\n}", "timeout"},
		{"a user without a password", "redis redis://127.0.0.1 {\nusername a\n}", "password"},
		{"two passwords", "redis redis://:a@127.0.0.1 {\npassword b\n}", "password"},
		{"a password in plain to another host", "redis redis://cache.example.com {\npassword a\n}", "plaintext"},
		{"an authority that is missing", "redis rediss://127.0.0.1 {\ntls {\nca " + none + "\n}\n}", "none.pem"},
		{"a certificate without a key", "redis rediss://127.0.0.1 {\ntls {\ncert " + none + "\n}\n}", "key"},
		{"an unknown option of tls", "redis rediss://127.0.0.1 {\ntls {\ninsecure\n}\n}", "insecure"},
		{"a password's file that is missing", "redis redis://127.0.0.1 {\npassword {file." + none + "}\n}", "none.pem"},
		{"TLS over a socket", "redis unix:///run/redis.sock {\ntls {\n}\n}", "socket"},
		{"a prefix with a space", "redis redis://127.0.0.1 {\nprefix \"a b\"\n}", "prefix"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := validate(t, configuration(corp+"cache {\n"+tc.options+"\n}", "respond ok"))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want an error that speaks of %q, got %v", tc.want, err)
			}
		})
	}
	for name, options := range map[string]string{
		"a socket":               "redis unix:///run/redis.sock",
		"opted out of TLS":       "redis redis://:a@cache.example.com {\ninsecure_plaintext\n}",
		"a sentinel":             "redis {\naddress 127.0.0.1:26379\nmaster_name m\n}",
		"a cluster":              "redis {\naddress 127.0.0.1:7000 127.0.0.1:7001\n}",
		"TLS and a password":     "redis rediss://a:b@cache.example.com",
		"the database by option": "redis redis://127.0.0.1 {\ndb 3\nprefix other:\n}",
	} {
		t.Run(name, func(t *testing.T) {
			if err := validate(t, configuration(corp+"cache {\n"+options+"\n}", "respond ok")); err != nil {
				t.Error(err)
			}
		})
	}
}
