package integration

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	_ "embed" // brings the JavaScript example's lock file along
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

//go:embed testdata/verify/package-lock.json
var verifierLock []byte

// algorithms are all that the gateway signs with.
var algorithms = []string{"ES256", "ES384", "EdDSA", "RS256", "PS256"}

// signer is the global option with the gateway's own site as its issuer.
func (w *world) signer(options ...string) string {
	return fmt.Sprintf("signing {\n\tissuer http://%s\n\t%s\n}", w.addr, strings.Join(options, "\n\t"))
}

// anew gives the next configuration a storage of its own, without keys.
func (w *world) anew() {
	w.t.Helper()
	w.log = filepath.Join(w.t.TempDir(), "log.json")
}

// published gives the key set as an application fetches it.
func (w *world) published() jose.JSONWebKeySet {
	w.t.Helper()
	var set jose.JSONWebKeySet
	got := w.get("/.well-known/jwks.json", "")
	if err := json.Unmarshal([]byte(got.body), &set); got.StatusCode != 200 || err != nil {
		w.t.Fatalf("the key set is answered %d %s: %v", got.StatusCode, got.body, err)
	}
	return set
}

// verified checks a token as the application would and gives its claims.
func (w *world) verified(token, audience string) enrichtest.Claims {
	w.t.Helper()
	var all []jose.SignatureAlgorithm
	for _, a := range algorithms {
		all = append(all, jose.SignatureAlgorithm(a))
	}
	parsed, err := jwt.ParseSigned(token, all)
	if err != nil {
		w.t.Fatalf("the application received %q: %v", token, err)
	}
	keys := w.published()
	found := keys.Key(parsed.Headers[0].KeyID)
	if len(found) != 1 {
		w.t.Fatalf("%d published keys have the token's id", len(found))
	}
	var claims jwt.Claims
	var members map[string]any
	if err := parsed.Claims(found[0], &claims, &members); err != nil {
		w.t.Fatal(err)
	}
	want := jwt.Expected{Issuer: "http://" + w.addr, AnyAudience: jwt.Audience{audience}, Time: time.Now()}
	if err := claims.ValidateWithLeeway(want, time.Minute); err != nil || claims.Expiry == nil {
		w.t.Fatalf("the claims %v are not valid: %v", members, err)
	}
	return members
}

// asReceived takes the tokens out of a request: of Authorization, a header,
// or a cookie.
func asReceived(seen enrichtest.RawRequest, name string) string {
	if v := seen.Values(name); len(v) == 1 {
		return strings.TrimPrefix(v[0], "Bearer ")
	}
	for pair := range strings.SplitSeq(strings.Join(seen.Values("Cookie"), "; "), "; ") {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// counterfeit signs claims with the gateway's own key, taken from its
// storage: what a verifier refuses then, it refuses for what it says.
func (w *world) counterfeit(alg string, header map[string]any, claims enrichtest.Claims) string {
	w.t.Helper()
	private, kid := w.privateKey()
	options := (&jose.SignerOptions{}).WithHeader("kid", kid)
	for name, value := range header {
		options = options.WithHeader(jose.HeaderKey(name), value)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: private}, options)
	if err != nil {
		w.t.Fatal(err)
	}
	token, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// privateKey reads the gateway's only signing key from its storage.
func (w *world) privateKey() (private crypto.PrivateKey, kid string) {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(w.log), keysFile))
	if err != nil {
		w.t.Fatal(err)
	}
	var document struct {
		Keys []struct {
			ID    string `json:"kid"`
			PKCS8 []byte `json:"pkcs8"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(text, &document); err != nil || len(document.Keys) != 1 {
		w.t.Fatalf("%d stored keys: %v", len(document.Keys), err)
	}
	if private, err = x509.ParsePKCS8PrivateKey(document.Keys[0].PKCS8); err != nil {
		w.t.Fatal(err)
	}
	return private, document.Keys[0].ID
}

// verifier is one of the programs of docs/verify.md.
type verifier struct {
	library    string
	algorithms []string // by the page's table
	looksAtTyp bool
	command    func(alg string) *exec.Cmd
}

// verifiers makes the page's programs ready to run against this gateway.
func (w *world) verifiers() []verifier {
	w.t.Helper()
	text, err := os.ReadFile("../../docs/verify.md")
	if err != nil {
		w.t.Fatal(err)
	}
	page := strings.NewReplacer("https://gateway.example.com", "http://"+w.addr).Replace(string(text))
	blocks := map[string][]string{}
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		blocks[m[1]] = append(blocks[m[1]], m[2])
	}
	if len(blocks["go"]) != 2 || len(blocks["js"]) != 1 || len(blocks["python"]) != 1 || len(blocks["ruby"]) != 1 {
		w.t.Fatal("docs/verify.md holds other programs than this test knows")
	}
	able := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| \w+, ([\w-]+) \|(.*)\|$`).FindAllStringSubmatch(page, -1) {
		for i, cell := range strings.Split(m[2], "|") {
			if strings.TrimSpace(cell) == "yes" {
				able[strings.ToLower(m[1])] = append(able[strings.ToLower(m[1])], algorithms[i])
			}
		}
	}
	dir := w.t.TempDir()
	if err := os.Symlink(enrichtest.NodeModules(w.t, verifierLock), filepath.Join(dir, "node_modules")); err != nil {
		w.t.Fatal(err)
	}
	compiled := func(name, program string) func(string) *exec.Cmd {
		// One build for all algorithms: the program's constant becomes its argument.
		program = strings.Replace(strings.Replace(program, "const (", "var (", 1), `"ES256"`, "os.Args[1]", 1)
		source, binary := filepath.Join(dir, name+".go"), filepath.Join(dir, name)
		w.write(source, program)
		if out, err := exec.CommandContext(w.t.Context(), "go", "build", "-o", binary, source).CombinedOutput(); err != nil {
			w.t.Fatalf("building the %s example: %v\n%s", name, err, out)
		}
		return func(alg string) *exec.Cmd { return exec.CommandContext(w.t.Context(), binary, alg) }
	}
	interpreted := func(interpreter, name, program string) func(string) *exec.Cmd {
		return func(alg string) *exec.Cmd {
			file := filepath.Join(dir, name)
			w.write(file, strings.ReplaceAll(program, `"ES256"`, `"`+alg+`"`))
			return exec.CommandContext(w.t.Context(), interpreter, file)
		}
	}
	all := []verifier{
		{"go-oidc", nil, false, compiled("oidc", blocks["go"][0])},
		{"go-jose", nil, true, compiled("jose", blocks["go"][1])},
		{"jose", nil, true, interpreted("node", "verify.mjs", blocks["js"][0])},
		{"pyjwt", nil, true, interpreted("/usr/bin/python3", "verify.py", blocks["python"][0])},
		{"ruby-jwt", nil, true, interpreted("/usr/bin/ruby", "verify.rb", blocks["ruby"][0])},
	}
	for i := range all {
		all[i].algorithms = able[all[i].library]
		if len(all[i].algorithms) < 4 {
			w.t.Fatalf("the page's table gives %s %v", all[i].library, all[i].algorithms)
		}
	}
	return all
}

// results runs a program with tokens and returns what it says of each.
func (v verifier) results(t *testing.T, alg string, tokens []string) []string {
	t.Helper()
	cmd := v.command(alg)
	cmd.Stdin = strings.NewReader(strings.Join(tokens, "\n") + "\n")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if err != nil || len(lines) != len(tokens) {
		t.Fatalf("%v: %d lines for %d tokens\n%s%s", err, len(lines), len(tokens), out, complaints.Bytes())
	}
	return lines
}

const verifiedSite = `
	token_enrich_jwks
	token_enrich {
		app 0oa1payroll
		claim groups groups regex .*
		token {
			audience payroll archive
			claims *
		}
		token {
			header X-Payroll-Token
			audience archive payroll
			claims groups
		}
		token {
			header cookie payroll
			audience payroll
		}
		token {
			header X-Ledger-Token Bearer
			audience ledger
		}
		token {
			header X-Plain-Token
			audience payroll
			type JWT
		}
	}
	reverse_proxy %a`

func TestSignedTokensAreVerifiedByLibrariesOfEveryLanguage(t *testing.T) {
	w := prepare(t)
	programs := w.verifiers()
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) {
			w.anew()
			w.load(strings.ReplaceAll(verifiedSite, "%a", w.legacy.Addr()), w.standard(), w.signer("algorithm "+alg))
			w.signed()
			incoming := w.token("00u1ada", enrichtest.Claims{"address": map[string]any{"city": "Łódź", "lines": []any{"a", 1, true, nil}}})
			wantStatus(t, w.get("/", incoming), 200)
			seen := w.received()
			good := []string{asReceived(seen, "Authorization"), asReceived(seen, "X-Payroll-Token"), asReceived(seen, "payroll")}
			bad := w.refusable(alg, good[0], incoming, asReceived(seen, "X-Ledger-Token"))
			plain := asReceived(seen, "X-Plain-Token")
			names := slices.Sorted(maps.Keys(bad))
			for _, p := range programs {
				t.Run(p.library, func(t *testing.T) {
					if !slices.Contains(p.algorithms, alg) {
						if said := p.results(t, alg, good[:1]); !strings.HasPrefix(said[0], "refused") {
							t.Errorf("the page says that %s is not known, and it is: %s", alg, said[0])
						}
						return
					}
					tokens := append(slices.Clone(good), plain)
					for _, name := range names {
						tokens = append(tokens, bad[name])
					}
					said := p.results(t, alg, append(tokens, good[0]))
					for i := range good {
						var got enrichtest.Claims
						if err := json.Unmarshal([]byte(said[i]), &got); err != nil {
							t.Fatalf("token %d: %s", i, said[i])
						}
						if want := w.verified(good[i], "payroll"); fmt.Sprint(got) != fmt.Sprint(want) {
							t.Errorf("token %d says %v, want %v", i, got, want)
						}
					}
					if refused := strings.HasPrefix(said[len(good)], "refused"); refused != p.looksAtTyp {
						t.Errorf("a token of type JWT: %s", said[len(good)])
					}
					for i, name := range names {
						if line := said[len(good)+1+i]; !strings.HasPrefix(line, "refused") {
							t.Errorf("%s is accepted: %s", name, line)
						}
					}
					if last := said[len(said)-1]; last != said[0] {
						t.Errorf("after the bad tokens, the first one gives %s", last)
					}
				})
			}
		})
	}
}

func TestConfigurationOfThePageOnVerifyingLoads(t *testing.T) {
	text, err := os.ReadFile("../../docs/verify.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), "```caddyfile\n{\n")
	block, _, closed := strings.Cut(block, "```")
	if !found || !closed {
		t.Fatal("docs/verify.md has no configuration")
	}
	if err := validate(t, block); err != nil {
		t.Error(err)
	}
}

// refusable are tokens that no application may take.
func (w *world) refusable(alg, good, incoming, ledger string) map[string]string {
	w.t.Helper()
	claims, err := enrichtest.Payload(good)
	if err != nil {
		w.t.Fatal(err)
	}
	forged := func(edit func(enrichtest.Claims)) string {
		c := maps.Clone(claims)
		edit(c)
		return w.counterfeit(alg, map[string]any{"typ": "at+jwt"}, c)
	}
	now := time.Now().Unix()
	header, payload, signature := segments(good)
	kid := w.published().Keys[0].KeyID
	public, err := x509.MarshalPKIXPublicKey(w.published().Keys[0].Key)
	if err != nil {
		w.t.Fatal(err)
	}
	headed := func(text string) string { return encoded(text) + "." + payload }
	confused := headed(`{"alg":"HS256","typ":"at+jwt","kid":"` + kid + `"}`)
	mac, err := enrichtest.SignHMAC("HS256", public, []byte(confused))
	if err != nil {
		w.t.Fatal(err)
	}
	tokens := map[string]string{
		"the token of the client":           incoming,
		"a token for another application":   ledger,
		"a flipped signature":               enrichtest.FlipSignature(good),
		"no signature":                      header + "." + payload + ".",
		"another payload":                   header + "." + encoded(`{"sub":"root"}`) + "." + signature,
		"alg none":                          headed(`{"alg":"none","typ":"at+jwt","kid":"`+kid+`"}`) + ".",
		"alg HS256 with the public key":     confused + "." + base64.RawURLEncoding.EncodeToString(mac),
		"a key id that nobody knows":        headed(`{"alg":"`+alg+`","typ":"at+jwt","kid":"unknown"}`) + "." + signature,
		"an hour past its expiry":           forged(func(c enrichtest.Claims) { c["exp"], c["nbf"], c["iat"] = now-3600, now-7200, now-7200 }),
		"without an expiry":                 forged(func(c enrichtest.Claims) { delete(c, "exp") }),
		"an hour before its time":           forged(func(c enrichtest.Claims) { c["nbf"], c["exp"] = now+3600, now+7200 }),
		"of another issuer":                 forged(func(c enrichtest.Claims) { c["iss"] = "http://" + w.addr + "/" }),
		"for nobody":                        forged(func(c enrichtest.Claims) { delete(c, "aud") }),
		"for one whose name begins like it": forged(func(c enrichtest.Claims) { c["aud"] = "payroll2" }),
	}
	if alg == "RS256" || alg == "PS256" {
		other := map[string]string{"RS256": "PS256", "PS256": "RS256"}[alg]
		tokens["the key used with "+other] = w.counterfeit(other, map[string]any{"typ": "at+jwt"}, claims)
	}
	// What makes the rest of them a test: the same, unchanged, is good.
	w.verified(forged(func(enrichtest.Claims) {}), "payroll")
	return tokens
}

// Below a path, both documents are served where the issuer says.
func TestIssuerBelowAPathIsDiscovered(t *testing.T) {
	w := prepare(t)
	w.load(`handle_path /gate/* {
		token_enrich_jwks
	}
	handle {
		token_enrich {
			token {
				audience payroll
			}
		}
		reverse_proxy `+w.legacy.Addr()+`
	}`, w.standard(), "signing {\nissuer http://"+w.addr+"/gate\n}")
	eventually(t, "a key to sign with", func() bool { return w.get("/gate/.well-known/jwks.json", "").StatusCode == 200 })
	var metadata struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal([]byte(w.get("/gate/.well-known/openid-configuration", "").body), &metadata); err != nil {
		t.Fatal(err)
	}
	if metadata.Issuer != "http://"+w.addr+"/gate" || metadata.Keys != "http://"+w.addr+"/gate/.well-known/jwks.json" {
		t.Errorf("the metadata says %+v", metadata)
	}
	claims, err := enrichtest.Payload(w.tokenOf("Authorization", w.token("00u1ada")))
	if err != nil || claims["iss"] != metadata.Issuer {
		t.Errorf("iss %v: %v", claims["iss"], err)
	}
}

// thumbprint is the id that a key must have (RFC 7638).
func thumbprint(t *testing.T, k jose.JSONWebKey) string {
	t.Helper()
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil || len(sum) != sha256.Size {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// patience bounds what another program is waited for.
func patience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
