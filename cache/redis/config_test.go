package redis_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/redis"
)

func TestSettingsThatAreWrongAreTold(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(notPEM, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		cfg  redis.Config
		want string // part of the error; empty for none
	}{
		{"nothing", redis.Config{}, "required"},
		{"url", redis.Config{URL: "redis://127.0.0.1"}, ""},
		{"url with port and db", redis.Config{URL: "redis://redis.example.com:7000/3"}, ""},
		{"url with IPv6", redis.Config{URL: "redis://[::1]:7000"}, ""},
		{"TLS url", redis.Config{URL: "rediss://user:secret@redis.example.com"}, ""},
		{"socket", redis.Config{URL: "unix:///run/redis.sock?db=2", Password: "secret"}, ""},
		{"address", redis.Config{Addresses: []string{"redis.example.com"}}, ""},
		{"socket as address", redis.Config{Addresses: []string{"/run/redis.sock"}}, ""},
		{"bare IPv6", redis.Config{Addresses: []string{"::1"}}, ""},
		{"cluster", redis.Config{Addresses: []string{"a:1", "b:1"}}, ""},
		{"sentinels", redis.Config{Addresses: []string{"a:1", "b:1"}, MasterName: "m", DB: 3}, ""},
		{"unknown scheme", redis.Config{URL: "http://secret@127.0.0.1"}, "must start with"},
		{"unreadable url", redis.Config{URL: "redis://user:secret@127.0.0.1:x y"}, "cannot be read"},
		{"options in the url", redis.Config{URL: "redis://127.0.0.1?skip_verify=true"}, "options"},
		{"options in a socket's url", redis.Config{URL: "unix:///x?secret=1"}, "unix socket"},
		{"socket without path", redis.Config{URL: "unix://x"}, "unix socket"},
		{"database is no number", redis.Config{URL: "redis://127.0.0.1/x"}, "database"},
		{"two databases", redis.Config{URL: "redis://127.0.0.1/2", DB: 3}, "database"},
		{"two users", redis.Config{URL: "redis://a:secret@127.0.0.1", Username: "b"}, "different users"},
		{"two passwords", redis.Config{URL: "redis://a:secret@127.0.0.1", Password: "secret2"}, "different users"},
		{"no host", redis.Config{URL: "redis://"}, "host"},
		{"bad port", redis.Config{Addresses: []string{"a:70000"}}, "port"},
		{"bad address", redis.Config{Addresses: []string{"a:b:c"}}, "host:port"},
		{"address with a path", redis.Config{Addresses: []string{"a/b"}}, "host"},
		{"negative db", redis.Config{URL: "redis://127.0.0.1", DB: -1}, "negative"},
		{"cluster with db", redis.Config{Addresses: []string{"a:1", "b:1"}, DB: 1}, "cluster"},
		{"cluster and sentinel", redis.Config{URL: "redis://127.0.0.1", Cluster: true, MasterName: "m"}, "cannot be combined"},
		{"cluster of sockets", redis.Config{Addresses: []string{"/a", "/b"}}, "socket"},
		{"TLS over a socket", redis.Config{Addresses: []string{"/a"}, TLS: &redis.TLS{}}, "socket"},
		{"user without password", redis.Config{URL: "redis://127.0.0.1", Username: "a"}, "username without"},
		{"password to another host", redis.Config{URL: "redis://user:secret@redis.example.com"}, "plaintext"},
		{"password to one of several hosts", redis.Config{Addresses: []string{"127.0.0.1", "10.0.0.1"}, Password: "secret"}, "plaintext"},
		{"a sentinel's password to another host", redis.Config{Addresses: []string{"10.0.0.1"}, MasterName: "m", SentinelPassword: "secret"}, "plaintext"},
		{"password to another host, opted out", redis.Config{URL: "redis://user:secret@redis.example.com", InsecurePlaintext: true}, ""},
		{"password to another host over TLS", redis.Config{Addresses: []string{"10.0.0.1"}, Password: "secret", TLS: &redis.TLS{}}, ""},
		{"password to loopback", redis.Config{URL: "redis://user:secret@localhost"}, ""},
		{"a name that only begins like loopback", redis.Config{URL: "redis://user:secret@localhost.example.com"}, "plaintext"},
		{"long prefix", redis.Config{URL: "redis://127.0.0.1", Prefix: strings.Repeat("x", 65)}, "prefix"},
		{"prefix with a space", redis.Config{URL: "redis://127.0.0.1", Prefix: "a b"}, "prefix"},
		{"short timeout", redis.Config{URL: "redis://127.0.0.1", Timeout: 1}, "timeout"},
		{"long timeout", redis.Config{URL: "redis://127.0.0.1", Timeout: cache.Duration(time.Minute)}, "timeout"},
		{"missing CA", redis.Config{URL: "rediss://a", TLS: &redis.TLS{CA: "/does/not/exist"}}, "CA"},
		{"CA without certificates", redis.Config{URL: "rediss://a", TLS: &redis.TLS{CA: notPEM}}, "no certificate"},
		{"certificate without key", redis.Config{URL: "rediss://a", TLS: &redis.TLS{Cert: "x"}}, "must be set together"},
		{"missing certificate", redis.Config{URL: "rediss://a", TLS: &redis.TLS{Cert: "/x", Key: "/y"}}, "client certificate"},
		{"sentinel user without password", redis.Config{URL: "redis://127.0.0.1", MasterName: "m", SentinelUsername: "a"}, "sentinel_username"},
		{"sentinel password without sentinel", redis.Config{URL: "redis://127.0.0.1", SentinelPassword: "secret"}, "sentinel_password"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.cfg.Validate()
			switch {
			case tt.want == "" && err != nil:
				t.Fatal(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Fatalf("got %v, want something of %q", err, tt.want)
			case err != nil && strings.Contains(err.Error(), "secret"):
				t.Fatalf("the error holds the secret: %v", err)
			}
		})
	}
}

func TestTheDefaultsAreTheSafeSide(t *testing.T) {
	var c redis.Config
	if c.InsecurePlaintext {
		t.Error("plaintext is allowed by default")
	}
	if redis.DefaultTimeout != 100*time.Millisecond || redis.DefaultPrefix != "token_enrich:" {
		t.Error("the defaults are not the documented ones")
	}
}

func TestConfigIsReadFromJSON(t *testing.T) {
	text := `{"url":"rediss://r","addresses":["s:1"],"master_name":"m","cluster":false,"username":"u","password":"p",` +
		`"db":2,"tls":{"ca":"a","cert":"b","key":"c","server_name":"d"},"prefix":"x:","timeout":"250ms","insecure_plaintext":true}`
	var got redis.Config
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := redis.Config{
		URL: "rediss://r", Addresses: []string{"s:1"}, MasterName: "m", Username: "u", Password: "p", DB: 2,
		TLS:    &redis.TLS{CA: "a", Cert: "b", Key: "c", ServerName: "d"},
		Prefix: "x:", Timeout: cache.Duration(250 * time.Millisecond), InsecurePlaintext: true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestNewNeedsNoNetwork(t *testing.T) {
	n := connect(t, redis.Config{URL: "redis://192.0.2.1:6379"})
	if !n.tier.Status().Ready {
		t.Error("not taken for ready before the first try")
	}
	if _, err := redis.New(redis.Config{URL: "redis://127.0.0.1"}, redis.Options{}); err == nil {
		t.Error("a client without a sealer")
	}
}
