package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// entry is one line of a log.
type entry map[string]any

// entries reads a log that Caddy writes as JSON; a line that is being written
// is left out.
func entries(t *testing.T, file string) []entry {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var all []entry
	for line := range strings.Lines(string(text)) {
		var e entry
		if strings.HasSuffix(line, "\n") {
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			all = append(all, e)
		}
	}
	return all
}

// decisions are the lines of the decision log.
func (w *world) decisions() []entry {
	w.t.Helper()
	var all []entry
	for _, e := range entries(w.t, w.log) {
		if e["msg"] == "decision" && e["logger"] == "http.handlers.token_enrich" {
			all = append(all, e)
		}
	}
	return all
}

// accessLog is the access log's file and the directive that writes it.
func (w *world) accessLog() (file, directive string) {
	file = filepath.Join(filepath.Dir(w.log), "access.json")
	return file, "log {\noutput file " + file + "\nformat json\n}\n"
}

func TestDecisionLogSaysWhatItIsAskedToSay(t *testing.T) {
	const subjects = "00u1ada 00u1ada 00u2grace 00u3alan" // the last is barred
	for _, tc := range []struct {
		name, options   string
		lines, subjects int
	}{
		{"off by default", "", 0, 0},
		{"off", "log_decision off\nlog_subject plain", 0, 0},
		{"denied", "log_decision denied", 2, 0},
		{"all", "log_decision all", 5, 0},
		{"all, subject off", "log_decision all\nlog_subject off", 5, 0},
		{"all, subject plain", "log_decision all\nlog_subject plain", 5, 3},
		{"all, subject hashed", "log_decision all\nlog_subject hash", 5, 3},
		{"denied, subject plain", "log_decision denied\nlog_subject plain", 2, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := prepare(t)
			file, directive := w.accessLog()
			w.load(directive + "token_enrich {\nname payroll\nclaim login user.login\n" + tc.options + "\n}\nreverse_proxy " + w.legacy.Addr())
			for subject := range strings.FieldsSeq(subjects) {
				w.get("/", w.token(subject))
			}
			w.get("/", "") // nobody
			eventually(t, "the access log is written", func() bool { return len(entries(t, file)) == 5 })
			decisions := w.decisions()
			if len(decisions) != tc.lines {
				t.Fatalf("%d lines, want %d", len(decisions), tc.lines)
			}
			var inAccess []entry
			for _, e := range entries(t, file) {
				if extra, ok := e["token_enrich"].(map[string]any); ok {
					inAccess = append(inAccess, extra)
				}
			}
			if len(inAccess) != tc.lines {
				t.Errorf("%d lines of the access log have our fields, want %d", len(inAccess), tc.lines)
			}
			named := map[string]bool{}
			for i, e := range decisions {
				wantMembers(t, "the decision", e, map[string]any{"policy": "payroll", "level": "info"})
				if i < len(inAccess) {
					for name, v := range inAccess[i] {
						if asJSON(t, e[name]) != asJSON(t, v) {
							t.Errorf("%s is %v in the access log and %v in the decision log", name, v, e[name])
						}
					}
				}
				if s, ok := e["subject"].(string); ok {
					named[s] = true
				}
				allowed := e["outcome"] == "allowed"
				if allowed != (e["status"] == "fresh") || allowed != (e["cause"] == nil) {
					t.Errorf("a decision says %v", e)
				}
				if e["outcome"] != "no_token" && (e["issuer"] != "corp" || e["client"] != "0oa1payroll" || e["decision_id"] == "") {
					t.Errorf("a decision says %v", e)
				}
			}
			if len(named) != tc.subjects {
				t.Errorf("it names %d subjects, want %d: %v", len(named), tc.subjects, named)
			}
			if strings.Contains(tc.options, "plain") != named["00u3alan"] && tc.subjects > 0 {
				t.Errorf("the subjects are %v", named)
			}
			if strings.Contains(tc.options, "hash") {
				for s := range named {
					if len(s) < 32 || strings.Contains(s, "00u") {
						t.Errorf("the hash of a subject is %q", s)
					}
				}
				if text := w.logged() + fmt.Sprint(inAccess); strings.Contains(text, "00u1ada") {
					t.Error("the log names a subject beside its hash")
				}
			}
		})
	}
}

func TestDecisionLogNamesTheClassOfEachRefusal(t *testing.T) {
	w := prepare(t)
	s, global := w.shaky("")
	w.load("token_enrich {\nname payroll\nlog_decision denied\nrequire_scope openid\nrequire `user.login != \"grace@example.com\"`\n}\nrespond ok", global)
	for _, tc := range []struct{ token, class string }{
		{"", "no_token"},
		{"garbage", "invalid_token"},
		{w.token("00u1ada", enrichtest.Claims{"scp": "groups"}), "insufficient_scope"},
		{w.token("00u2grace"), "denied"},
		{w.token("00u3alan"), "denied"},
		{w.token("00u9nobody"), "unknown_user"},
	} {
		before := len(w.decisions())
		w.get("/", tc.token)
		lines := w.decisions()
		if len(lines) != before+1 || lines[before]["outcome"] != tc.class || lines[before]["cause"] == "" {
			t.Errorf("want one line of class %s, got %v", tc.class, lines[before:])
		}
	}
	s.fail(directory.ErrUnavailable)
	w.get("/", w.token("00u5new"))
	if lines := w.decisions(); lines[len(lines)-1]["outcome"] != "unavailable" {
		t.Errorf("the last line is %v", lines[len(lines)-1])
	}
}

// filtered is the log of the example configuration, for the access log and for
// Caddy's own errors and debug lines alike.
const filtered = `format filter {
			wrap json
			request>headers>Authorization delete
			request>headers>Cookie delete
			request>headers>Dpop delete
			request>headers>X-Token delete
			request>headers>X-User delete
			request>headers>X-All delete
			request>headers>X-Gateway-Token delete
			request>uri query {
				delete access_token
			}
		}`

// leaky are requests of every kind: whatever goes wrong, something of a token,
// a credential or a person is at hand.
func leaky(w *world) string {
	return `log {
		output file ` + filepath.Join(filepath.Dir(w.log), "access.json") + `
		` + filtered + `
	}
	token_enrich_scrub
	token_enrich_jwks
	token_enrich /query* {
		name query
		token_from query access_token
	}
	token_enrich /cookie* {
		name cookie
		token_from cookie session
	}
	token_enrich /named* {
		name named
		token_from header X-Token
	}
	token_enrich /broken* {
		name broken
		claim broken ` + "`user.login + token.secret.member`" + `
	}
	token_enrich /overflow* {
		name overflow
		header X-All secret {
			max_bytes 3
		}
	}
	token_enrich /control* {
		name control
		header X-All control
	}
	token_enrich {
		name payroll
		app 0oa1payroll
		claim login user.login
		claim secret token.secret
		require ` + "`token.secret != \"claim-value-denied\"`" + `
		header X-User login
		header X-All secret
		log_decision all
		log_subject hash
		token {
			header X-Gateway-Token
			audience payroll
			claims *
		}
	}
	reverse_proxy ` + w.legacy.Addr() + `
	handle_errors {
		respond "{err.status_code} {token_enrich.reason}"
	}`
}

func TestNoLogHoldsATokenACredentialOrAClaim(t *testing.T) {
	w := prepare(t)
	text := strings.Replace(w.caddyfile(leaky(w), w.issuerBlock("dpop accept\nexternal_url http://"+w.addr)+"\ndirectory file "+w.directory, w.signer()), "format json", filtered, 1)
	config, err := adapt(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	w.signed()
	var sent []string // whatever must not be seen
	secret := func(s string) string { sent = append(sent, s); return s }
	token := func(subject string, claims ...enrichtest.Claims) string {
		base := enrichtest.Claims{"secret": "claim-value-plain", "control": "claim-value\r\nX: y", "email": "claim-value@corp.example", "jti": "claim-value-jti-" + subject}
		return secret(w.token(subject, append([]enrichtest.Claims{base}, claims...)...))
	}
	key := enrichtest.NewDPoPKey(t, "ES256", nil)
	bound := token("00u1ada", enrichtest.Claims{"cnf": key.Confirmation()})
	dpop := func(token, url string) []string {
		proof := secret(key.Proof("GET", url, token, nil))
		return []string{"Authorization", "DPoP " + token, "DPoP", proof}
	}
	basic := secret("Basic YmFzaWMtc2VjcmV0OmJhc2ljLXNlY3JldA==")
	for _, tc := range []struct {
		path    string
		headers []string
		code    int
	}{
		{"/", []string{"Authorization", "Bearer " + token("00u1ada")}, 200},
		{"/", []string{"Authorization", "Bearer " + enrichtest.FlipSignature(token("00u1ada"))}, 401},
		{"/", []string{"Authorization", "Bearer " + token("00u1ada", enrichtest.Claims{"exp": 1000})}, 401},
		{"/", []string{"Authorization", "Bearer " + token("00u1ada", enrichtest.Claims{"aud": "claim-value-audience"})}, 401},
		{"/", []string{"Authorization", "Bearer " + token("00u1ada", enrichtest.Claims{"iss": "https://claim-value.example"})}, 401},
		{"/", []string{"Authorization", "Bearer " + token("00u1ada", enrichtest.Claims{"exp": "claim-value-exp"})}, 401},
		{"/", []string{"Authorization", "Bearer " + secret(w.issuer.Mint(enrichtest.Claims{"aud": audience}, enrichtest.WithHeader("kid", "claim-value-kid")))}, 401},
		{"/", []string{"Authorization", "Bearer " + secret(w.issuer.Mint(enrichtest.Claims{"aud": audience}, enrichtest.WithType("claim-value-typ")))}, 401},
		{"/", []string{"Authorization", "Bearer " + secret("claim-value-opaque-token-of-some-length")}, 401},
		{"/", []string{"Authorization", "Bearer " + token("00u1ada", enrichtest.Claims{"secret": "claim-value-denied"})}, 403},
		{"/", []string{"Authorization", "Bearer " + token("00u3alan")}, 403},
		{"/", []string{"Authorization", "Bearer " + token("claim-value-unknown")}, 403},
		{"/", []string{"Authorization", basic}, 401},
		{"/", []string{"Authorization", "Bearer " + token("00u1ada"), "Authorization", basic}, 400},
		{"/", []string{"Authorization", "Bearer", "Cookie", secret("other=cookie-secret-cookie-secret")}, 400},
		{"/", dpop(bound, "http://"+w.addr+"/"), 200},
		{"/", dpop(bound, "http://"+w.addr+"/other"), 401},
		{"/", []string{"Authorization", "Bearer " + bound}, 401},
		{"/", []string{"Authorization", "DPoP " + bound, "DPoP", secret("claim-value-proof-that-is-none")}, 401},
		{"/query?access_token=" + token("00u1ada"), nil, 200},
		{"/query?access_token=" + enrichtest.FlipSignature(token("00u1ada")), nil, 401},
		{"/query?access_token=" + token("00u1ada") + "&access_token=" + token("00u2grace"), nil, 400},
		{"/cookie", []string{"Cookie", "session=" + token("00u1ada")}, 200},
		{"/cookie", []string{"Cookie", "session=" + enrichtest.FlipSignature(token("00u1ada"))}, 401},
		{"/named", []string{"X-Token", token("00u1ada")}, 200},
		{"/named", []string{"X-Token", enrichtest.FlipSignature(token("00u1ada"))}, 401},
		{"/broken", []string{"Authorization", "Bearer " + token("00u1ada")}, 500},
		{"/overflow", []string{"Authorization", "Bearer " + token("00u1ada")}, 500},
		{"/control", []string{"Authorization", "Bearer " + token("00u1ada")}, 500},
	} {
		r := w.request(http.MethodGet, tc.path, "", tc.headers...)
		if got := w.send(r); got.StatusCode != tc.code {
			t.Errorf("%s %.40q: status %d, want %d: %s", tc.path, tc.headers, got.StatusCode, tc.code, got.body)
		}
	}
	for _, seen := range w.legacy.Requests() {
		if minted := asReceived(seen, "X-Gateway-Token"); minted != "" {
			secret(minted)
		}
	}
	w.issuer.Break(enrichtest.KeySet, enrichtest.Status(500, "claim-value of the key server"))
	w.send(w.request(http.MethodGet, "/", secret(w.issuer.Mint(enrichtest.Claims{"aud": audience}, enrichtest.WithHeader("kid", "claim-value-kid-2")))))
	for _, body := range []string{
		asJSON(t, map[string]string{"token": token("00u1ada")}), asJSON(t, map[string]any{"token": []string{token("00u1ada")}}), `{"` + token("00u1ada") + `":1}`,
	} {
		for _, endpoint := range []string{"explain", "purge", "deny", "keys"} {
			wantNoSecret(t, endpoint, w.adminDo("POST", "/token_enrich/"+endpoint, body).body, sent)
		}
	}
	w.adminDo("POST", "/token_enrich/deny", `{"jti":"claim-value-jti-00u1ada","issuer":"corp"}`)
	w.adminDo("POST", "/token_enrich/purge", `{"user":"ada@example.com"}`)
	access := filepath.Join(filepath.Dir(w.log), "access.json")
	eventually(t, "the access log is written", func() bool { return len(entries(t, access)) >= 30 })
	for _, file := range []string{w.log, access} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			wantNoSecret(t, filepath.Base(file), line, sent)
			for _, person := range []string{"claim-value", "Ampere", "@example.com", "@corp.example", "Engineering", "Everyone", "cookie-secret", "basic-secret"} {
				if strings.Contains(line, person) {
					t.Errorf("%s holds %q: %s", filepath.Base(file), person, line)
				}
			}
		}
	}
	if text := w.logged(); !strings.Contains(text, `"request refused"`) || !strings.Contains(text, `"level":"debug"`) {
		t.Error("the log is not the one that was to be searched")
	}
}

// wantNoSecret fails the test where a text holds something that was sent.
func wantNoSecret(t *testing.T, what, text string, sent []string) {
	t.Helper()
	for _, s := range sent {
		for segment := range strings.SplitSeq(s, ".") {
			if len(segment) < 16 {
				continue
			}
			if strings.Contains(text, segment[:16]) || strings.Contains(text, segment[len(segment)-16:]) {
				t.Errorf("%s holds %s…: %s", what, segment[:16], text)
				return
			}
		}
	}
}
