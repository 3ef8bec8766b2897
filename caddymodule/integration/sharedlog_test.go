package integration

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// TestAServerThatIsDownIsSaidInTheLogThatAsksForIt: what outlives a
// configuration logs to whatever log the configuration keeps for us, and not
// to Caddy's default log alone.
func TestAServerThatIsDownIsSaidInTheLogThatAsksForIt(t *testing.T) {
	w := prepare(t)
	ours := filepath.Join(filepath.Dir(w.log), "ours.json")
	text := w.caddyfile("token_enrich\nrespond ok", "issuer http://127.0.0.1:1 {\nname corp\naudience x\nkey_min_interval 1ms\n}")
	text = strings.Replace(text, "\tlog {\n", "\tlog ours {\n\t\toutput file "+ours+"\n\t\tinclude token_enrich\n\t}\n\tlog default {\n\t\texclude token_enrich\n", 1)
	config, err := adapt(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	down := func(file string) int {
		n := 0
		for _, e := range entries(t, file) {
			if e["logger"] == "token_enrich" && e["issuer"] == "corp" {
				n++
			}
		}
		return n
	}
	w.get("/", w.token("00u1ada"))
	eventually(t, "the log says that the key server is down", func() bool { return down(ours) > 0 })
	if down(w.log) > 0 {
		t.Error("the log that excludes us says it too")
	}
}
