package integration

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// judged is a site whose error route shows all that a stranger may see.
const policySite = `
	token_enrich {
		claim login user.login
		header X-User login
	}
	reverse_proxy %a
	handle_errors {
		respond "{err.status_code} {err.message}"
	}`

// wantInvalidToken checks a refusal that must look like every other one.
func (w *world) wantInvalidToken(t *testing.T, got answer) {
	t.Helper()
	if got.StatusCode != 401 {
		w.legacy.Forget()
		t.Fatalf("status %d, want 401", got.StatusCode)
	}
	if got.body != "401 invalid token" {
		t.Errorf("the body is %q", got.body)
	}
	const want = "WWW-Authenticate: [\"Bearer error=\\\"invalid_token\\\", error_description=\\\"The access token is not valid.\\\"\"]\n" +
		"Cache-Control: [\"no-store\"]\nRetry-After: []\nContent-Type: [\"text/plain; charset=utf-8\"]\nContent-Length: [\"17\"]\n"
	if fields := fieldsOf(got); fields != want {
		t.Errorf("the answer is\n%s, want\n%s", fields, want)
	}
	w.nothingReceived()
}

// tampered is a token that must be refused.
type tampered struct {
	name  string
	token string
}

// segments of a token.
func segments(token string) (header, payload, signature string) {
	parts := strings.Split(token, ".")
	return parts[0], parts[1], parts[2]
}

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func TestTamperedTokensAreRefusedAlike(t *testing.T) {
	w := prepare(t)
	w.issuer = enrichtest.NewProvider(t, enrichtest.WithAlgorithms("RS256", "PS256", "ES256", "ES384", "EdDSA"))
	unusable := map[string]func(map[string]any){
		"a key for encryption":        func(k map[string]any) { k["use"] = "enc" },
		"a key that may not verify":   func(k map[string]any) { delete(k, "use"); k["key_ops"] = []string{"sign"} },
		"a key for another algorithm": func(k map[string]any) { k["alg"] = "PS256" },
		"a key without a type":        func(k map[string]any) { delete(k, "kty") },
		"a key of even exponent":      func(k map[string]any) { k["e"] = "AQAA" },
		"a key of exponent one":       func(k map[string]any) { k["e"] = "AQ" },
	}
	var all []tampered
	add := func(name, token string) { all = append(all, tampered{name, token}) }
	for name, edit := range unusable {
		k := w.issuer.UnpublishedKey("RS256").With(edit)
		w.issuer.Publish(k)
		add(name, w.mintFor(enrichtest.WithKey(k)))
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := enrichtest.KeyFrom(small, "RS256", "weak")
	if err != nil {
		t.Fatal(err)
	}
	w.issuer.Publish(weak)
	add("a key of 1024 bits", w.mintFor(enrichtest.WithKey(weak)))
	w.load(strings.ReplaceAll(policySite, "%a", w.legacy.Addr()), w.issuerBlock("algorithms RS256 PS256 ES256 EdDSA")+"\ndirectory file "+w.directory)

	// Algorithms.
	key := w.issuer.Key()
	good := w.mintFor()
	header, payload, signature := segments(good)
	add("an algorithm that is not listed", w.mintFor(enrichtest.WithKey(w.issuer.KeyFor("ES384"))))
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "nonE", "", "HS256", "RS1", "rs256", "RS256 ", " RS256", "Rs256", "PS256", "RS384", "ES256K", "dir"} {
		add("unsigned as "+alg, w.mintFor(enrichtest.Unsigned(alg)))
		add("a good signature that says "+alg, w.mintFor(enrichtest.WithAlgorithm(alg)))
	}
	for name, alg := range map[string]any{"absent": nil, "null": json.RawMessage("null"), "a number": 256, "a list": []string{"RS256"}, "an object": map[string]any{}} {
		add("alg is "+name, w.mintFor(enrichtest.WithHeader("alg", alg), enrichtest.WithSignature(func(in []byte) []byte { s, _ := key.Sign("RS256", in); return s })))
	}
	add("an RSA key used with PS256", w.mintFor(enrichtest.WithHeader("alg", "PS256")))
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public, ok := key.Public().(*rsa.PublicKey)
	if !ok {
		t.Fatal("the first key is not RSA")
	}
	jwk, err := json.Marshal(key.JWK())
	if err != nil {
		t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	for name, secret := range map[string][]byte{
		"PEM": block, "PEM without its last newline": bytes.TrimSpace(block), "DER": der, "PKCS#1": x509.MarshalPKCS1PublicKey(public),
		"modulus": public.N.Bytes(), "JWK": jwk, "n": []byte(fmt.Sprint(key.JWK()["n"])), "nothing": {},
	} {
		for _, alg := range []string{"HS256", "HS384", "HS512"} {
			add("the public key as secret, as "+name+" with "+alg, w.mintFor(enrichtest.WithSecret(alg, secret)))
		}
	}

	// Keys.
	stranger := w.issuer.UnpublishedKey("RS256")
	elsewhere := enrichtest.NewLegacy(t)
	add("a stranger's key", w.mintFor(enrichtest.WithKey(stranger)))
	add("a stranger's key under a known id", w.mintFor(enrichtest.WithKey(stranger), enrichtest.WithHeader("kid", key.ID)))
	for name, value := range map[string]any{
		"jwk": stranger.JWK(), "jku": elsewhere.URL() + "/keys", "x5u": elsewhere.URL() + "/cert", "x5c": []string{base64.StdEncoding.EncodeToString(der)},
		"x5t": "AAAA", "x5t#S256": "AAAA",
	} {
		add("a stranger's key brought along as "+name, w.mintFor(enrichtest.WithKey(stranger), enrichtest.WithHeader(name, value)))
		add("a stranger's key brought along as "+name+" without an id", w.mintFor(enrichtest.WithKey(stranger), enrichtest.WithHeader("kid", nil), enrichtest.WithHeader(name, value)))
	}
	for _, kid := range []string{"../../../../dev/null", "/etc/passwd", "' or '1'='1", "key\x00", "key\r\nX: y", strings.Repeat("k", 8<<10), "{env.HOME}", "%2e%2e", "\u2028", "|id"} {
		add(fmt.Sprintf("a key id of %.20q", kid), w.mintFor(enrichtest.WithHeader("kid", kid)))
	}
	for name, kid := range map[string]any{"number": 7, "list": []string{key.ID}, "null": json.RawMessage("null"), "object": map[string]any{}} {
		add("a key id that is a "+name, w.mintFor(enrichtest.WithHeader("kid", kid)))
	}

	// Signatures.
	add("a flipped bit", enrichtest.FlipSignature(good))
	add("no signature", header+"."+payload+".")
	add("another token's signature", header+"."+payload+"."+strings.Split(w.mintFor(), ".")[2])
	add("a longer signature", header+"."+payload+"."+signature+"AAAA")
	add("a shorter signature", header+"."+payload+"."+signature[:len(signature)-4])
	es := w.issuer.KeyFor("ES256")
	order := new(big.Int)
	order.SetString("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
	for name, rs := range map[string][]byte{
		"zero": make([]byte, 64), "the order": append(order.FillBytes(make([]byte, 32)), order.FillBytes(make([]byte, 32))...),
		"r zero": append(make([]byte, 32), bytes.Repeat([]byte{1}, 32)...), "too long": bytes.Repeat([]byte{1}, 66), "too short": bytes.Repeat([]byte{1}, 62),
	} {
		add("an ECDSA signature of "+name, w.mintFor(enrichtest.WithKey(es), enrichtest.WithSignature(func([]byte) []byte { return rs })))
	}

	// Format.
	for name, text := range map[string]string{
		"one part": header, "two parts": header + "." + payload, "four parts": good + ".", "five parts": header + ".." + payload + "." + signature + "." + signature,
		"a JWE": encoded(`{"alg":"dir","enc":"A128GCM","zip":"DEF"}`) + "..AAAA.AAAA.AAAA", "a PBES2 JWE": encoded(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAA"}`) + ".AAAA.AAAA.AAAA.AAAA",
		"JSON":           `{"payload":"` + payload + `","protected":"` + header + `","signature":"` + signature + `"}`,
		"general JSON":   `{"payload":"` + payload + `","signatures":[{"protected":"` + header + `","signature":"` + signature + `"}]}`,
		"padding":        header + "=." + payload + "." + signature,
		"more padding":   good + "==",
		"a space inside": header + "." + payload + " ." + signature, "a stray character": header + "." + payload + "?." + signature,
		"a comma": good + ",x", "standard base64": header + "." + payload + "." + base64.RawStdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, 256)),
		"empty parts": "..", "dots": strings.Repeat(".", 4000), "an empty header": "." + payload + "." + signature, "an empty payload": header + ".." + signature,
		"trailing bits": header + "." + payload + "." + trailingBits(signature), "a quoted token": `"` + good + `"`, "a token in brackets": "<" + good + ">",
		"a header that is a list": encoded(`["RS256"]`) + "." + payload + "." + signature, "a header that is no JSON": encoded(`alg`) + "." + payload + "." + signature,
	} {
		add("form: "+name, text)
	}
	kid := key.ID
	for name, raw := range map[string]string{
		"twice the same algorithm": `{"alg":"RS256","alg":"RS256","kid":"` + kid + `","typ":"at+jwt"}`,
		"two algorithms":           `{"alg":"none","kid":"` + kid + `","alg":"RS256"}`,
		"two key ids":              `{"alg":"RS256","kid":"x","kid":"` + kid + `"}`,
		"an escaped duplicate":     `{"alg":"RS256","\u0061lg":"RS256","kid":"` + kid + `"}`,
		"bytes that are not UTF-8": "{\"alg\":\"RS256\",\"kid\":\"" + kid + "\",\"x\":\"\xff\"}",
		"something behind":         `{"alg":"RS256","kid":"` + kid + `"}{}`,
		"a comment":                `{"alg":"RS256",/**/"kid":"` + kid + `"}`,
		"a capital name":           `{"ALG":"RS256","kid":"` + kid + `"}`,
	} {
		add("header: "+name, w.mintFor(enrichtest.WithRawHeader(raw), enrichtest.WithSignature(func(in []byte) []byte { s, _ := key.Sign("RS256", in); return s })))
	}
	for name, value := range map[string]any{"crit": []string{"exp"}, "an empty crit": []string{}, "an unknown crit": []string{"x"}} {
		add("header: "+name, w.mintFor(enrichtest.WithHeader("crit", value), enrichtest.WithHeader("x", 1)))
	}
	add("header: b64 false", w.mintFor(enrichtest.WithHeader("b64", false), enrichtest.WithHeader("crit", []string{"b64"})))
	add("header: b64 false without crit", w.mintFor(enrichtest.WithHeader("b64", false)))
	claims := func(text string) string {
		now := time.Now()
		return fmt.Sprintf(`{"iss":%q,"sub":"00u1ada","aud":%q,"client_id":"c","jti":"j","iat":%d,"exp":%d%s}`, w.issuer.Issuer(), audience, now.Unix(), now.Add(time.Minute).Unix(), text)
	}
	for name, raw := range map[string]string{
		"two subjects":                 claims(`,"sub":"00u2grace"`),
		"two subjects, one escaped":    claims(`,"s\u0075b":"00u2grace"`),
		"a duplicate inside a claim":   claims(`,"x":{"a":1,"a":2}`),
		"bytes that are not UTF-8":     claims(",\"x\":\"\xff\""),
		"half a surrogate":             claims(`,"x":"\ud800"`),
		"something behind":             claims("") + "{}",
		"a list":                       "[" + claims("") + "]",
		"a text":                       `"x"`,
		"null":                         "null",
		"nothing":                      "",
		"a number that is none":        claims(`,"x":NaN`),
		"nesting without end":          claims(`,"x":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000)),
		"objects without end":          claims(`,"x":` + strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500)),
		"more claims than anyone asks": claims(manyClaims(1100)),
	} {
		add("payload: "+name, w.mintFor(enrichtest.WithRawPayload(raw)))
	}

	// Claims.
	now := time.Now()
	for name, c := range map[string]enrichtest.Claims{
		"iss with a slash":          {"iss": w.issuer.Issuer() + "/"},
		"iss in capitals":           {"iss": strings.ToUpper(w.issuer.Issuer())},
		"iss with a port of zeros":  {"iss": strings.Replace(w.issuer.Issuer(), "127.0.0.1:", "127.0.0.1:0", 1)},
		"iss with a space":          {"iss": w.issuer.Issuer() + " "},
		"iss with a query":          {"iss": w.issuer.Issuer() + "?"},
		"iss by another name":       {"iss": strings.Replace(w.issuer.Issuer(), "127.0.0.1", "localhost", 1)},
		"no iss":                    {"iss": nil},
		"iss a list":                {"iss": []string{w.issuer.Issuer()}},
		"iss null":                  {"iss": json.RawMessage("null")},
		"no aud":                    {"aud": nil},
		"aud null":                  {"aud": json.RawMessage("null")},
		"aud empty":                 {"aud": ""},
		"aud an empty list":         {"aud": []string{}},
		"aud somebody else":         {"aud": "api://other"},
		"aud longer":                {"aud": audience + "/x"},
		"aud in capitals":           {"aud": strings.ToUpper(audience)},
		"aud with a space":          {"aud": audience + " api://other"},
		"aud an object":             {"aud": map[string]any{audience: true}},
		"aud a list of objects":     {"aud": []any{map[string]any{"x": audience}}},
		"aud a list with a number":  {"aud": []any{audience, 7}},
		"aud a number":              {"aud": 7},
		"no exp":                    {"exp": nil},
		"exp null":                  {"exp": json.RawMessage("null")},
		"exp past the leeway":       {"exp": now.Add(-2 * time.Minute).Unix()},
		"exp a text":                {"exp": fmt.Sprint(now.Add(time.Hour).Unix())},
		"exp true":                  {"exp": true},
		"exp a list":                {"exp": []int64{now.Add(time.Hour).Unix()}},
		"exp without measure":       {"exp": json.RawMessage("1e300")},
		"exp over every float":      {"exp": json.RawMessage("1e999")},
		"exp negative":              {"exp": -1},
		"exp zero":                  {"exp": 0},
		"exp of a thousand digits":  {"exp": json.RawMessage(strings.Repeat("9", 1000))},
		"nbf in the future":         {"nbf": now.Add(time.Hour).Unix()},
		"nbf a text":                {"nbf": "0"},
		"nbf without measure":       {"nbf": json.RawMessage("1e300")},
		"nbf null":                  {"nbf": json.RawMessage("null")},
		"iat far ahead":             {"iat": now.Add(time.Hour).Unix()},
		"iat a text":                {"iat": "0"},
		"iat an object":             {"iat": map[string]any{}},
		"no sub":                    {"sub": nil},
		"sub empty":                 {"sub": ""},
		"sub null":                  {"sub": json.RawMessage("null")},
		"sub a number":              {"sub": 7},
		"sub a list":                {"sub": []string{"00u1ada"}},
		"an ID token by nonce":      {"nonce": "n"},
		"an ID token by at_hash":    {"at_hash": "h"},
		"an ID token by c_hash":     {"c_hash": "h"},
		"an ID token by token_use":  {"token_use": "id"},
		"a logout token":            {"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}},
		"an introspection answer":   {"token_introspection": map[string]any{"active": true}},
		"a DPoP proof":              {"htm": "GET", "htu": w.here("/")},
		"a client assertion":        {"sub": w.issuer.Issuer(), "client_id": w.issuer.Issuer(), "cid": nil},
		"a refresh token":           {"token_use": "refresh"},
		"a token bound to a key":    {"cnf": map[string]any{"jkt": "x"}},
		"a token bound to a cert":   {"cnf": map[string]any{"x5t#S256": "x"}},
		"a token bound to anything": {"cnf": map[string]any{"new": "x"}},
		"a cnf that is no object":   {"cnf": "x"},
	} {
		add("claims: "+name, w.token("00u1ada", c))
	}
	for _, typ := range []string{"logout+jwt", "token-introspection+jwt", "dpop+jwt", "secevent+jwt", "client-authentication+jwt", "foo", "at+jw", "jwt at+jwt", "application/", "application/application/jwt", "text/at+jwt", "oauth-authz-req+jwt", "kb+jwt", "none", "application/none"} {
		add("typ "+typ, w.mintFor(enrichtest.WithType(typ)))
	}
	for name, typ := range map[string]any{"a number": 7, "null": json.RawMessage("null"), "a list": []string{"at+jwt"}, "empty": ""} {
		add("typ is "+name, w.mintFor(enrichtest.WithHeader("typ", typ)))
	}
	add("too long", good+strings.Repeat("A", 16<<10))

	for _, tc := range all {
		t.Run(tc.name, func(t *testing.T) {
			w := w.in(t)
			for range 2 {
				w.wantInvalidToken(t, w.get("/", tc.token))
			}
		})
	}
	if n := len(elsewhere.Requests()); n != 0 {
		t.Errorf("%d requests went where tokens pointed", n)
	}

	t.Run("while good ones are let in", func(t *testing.T) {
		w := w.in(t)
		now := time.Now() // the others may have taken minutes
		for name, token := range map[string]string{
			"RS256": w.mintFor(), "PS256": w.mintFor(enrichtest.WithKey(w.issuer.KeyFor("PS256"))), "ES256": w.mintFor(enrichtest.WithKey(es)),
			"EdDSA": w.mintFor(enrichtest.WithKey(w.issuer.KeyFor("EdDSA"))), "its newer name": w.mintFor(enrichtest.WithKey(w.issuer.KeyFor("EdDSA")), enrichtest.WithHeader("alg", "Ed25519")),
			"an audience among others": w.token("00u1ada", enrichtest.Claims{"aud": []string{"api://other", audience}}),
			"a fraction of a second":   w.token("00u1ada", enrichtest.Claims{"exp": json.RawMessage(fmt.Sprintf("%d.75", now.Add(time.Minute).Unix())), "iat": json.RawMessage(fmt.Sprintf("%d.5", now.Unix()))}),
			"inside the leeway":        w.token("00u1ada", enrichtest.Claims{"exp": now.Add(-time.Second).Unix()}),
			"typ JWT":                  w.mintFor(enrichtest.WithType("JWT")), "typ jwt": w.mintFor(enrichtest.WithType("jwt")), "no typ": w.mintFor(enrichtest.WithType("")),
			"typ in capitals": w.mintFor(enrichtest.WithType("AT+JWT")), "typ as a media type": w.mintFor(enrichtest.WithType("application/at+jwt")),
			"a jku that nobody follows": w.mintFor(enrichtest.WithHeader("jku", elsewhere.URL())),
		} {
			if got := w.get("/", token); got.StatusCode != 200 {
				t.Errorf("%s: status %d", name, got.StatusCode)
			}
		}
	})

	log := w.logged()
	for _, tc := range append(all, tampered{"a good token", good}) {
		parts := strings.Split(tc.token, ".")
		if len(parts) == 3 && len(parts[1]) > 40 && strings.Contains(log, parts[1]) {
			t.Errorf("the log holds a token: %s", tc.name)
		}
	}
	if strings.Contains(log, "key\x00") || strings.Contains(log, "key\r\nX: y") {
		t.Error("the log holds a key id's control characters")
	}
}

// mintFor mints a token for ada that differs in form only.
func (w *world) mintFor(options ...enrichtest.MintOption) string {
	w.t.Helper()
	return w.issuer.Mint(enrichtest.Claims{"sub": "00u1ada", "aud": audience, "cid": "0oa1payroll"}, options...)
}

// trailingBits sets the bits of the last character that no byte needs.
func trailingBits(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + string(alphabet[i|1])
}

func manyClaims(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"c%d":0`, i)
	}
	return b.String()
}

// With at+jwt alone, what RFC 9068, section 2.2 requires is required.
func TestAccessTokenProfileRequiresItsClaims(t *testing.T) {
	w := prepare(t)
	w.load(strings.ReplaceAll(policySite, "%a", w.legacy.Addr()), w.issuerBlock("types at+jwt")+"\ndirectory file "+w.directory)
	wantStatus(t, w.get("/", w.mintFor()), 200)
	w.received()
	for _, claim := range []string{"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} {
		t.Run(claim, func(t *testing.T) {
			w := w.in(t)
			w.wantInvalidToken(t, w.get("/", w.token("00u1ada", enrichtest.Claims{claim: nil})))
		})
	}
	for _, claim := range []string{"client_id", "jti"} {
		t.Run("an empty "+claim, func(t *testing.T) {
			w := w.in(t)
			w.wantInvalidToken(t, w.get("/", w.token("00u1ada", enrichtest.Claims{claim: ""})))
		})
	}
	for _, typ := range []string{"JWT", ""} {
		t.Run("typ "+typ, func(t *testing.T) { w.in(t).wantInvalidToken(t, w.get("/", w.mintFor(enrichtest.WithType(typ)))) })
	}
}

// An address names somebody only once the issuer has verified it.
func TestEmailNamesAUserOnlyWhereItIsVerified(t *testing.T) {
	w := prepare(t)
	w.load(strings.ReplaceAll(policySite, "%a", w.legacy.Addr()), w.issuerBlock("subject_claim email"), script(t, knows("somebody")))
	for name, verified := range map[string]any{"not": false, "by a text": "true", "by a number": 1, "by a list": []bool{true}, "by null": json.RawMessage("null"), "by nothing": nil} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			w.wantInvalidToken(t, w.get("/", w.token("x", enrichtest.Claims{"email": "ada@example.com", "email_verified": verified})))
		})
	}
	w.wantInvalidToken(t, w.get("/", w.token("x", enrichtest.Claims{"email_verified": true})))
	wantStatus(t, w.get("/", w.token("x", enrichtest.Claims{"email": "ada@example.com", "email_verified": true})), 200)
	wantHeader(t, w.received(), "X-User", "somebody")
}

// A secret serves only where it is the only kind of key, and from a file.
func TestSecretOfAFileVerifiesHMACsAndNothingElse(t *testing.T) {
	w := prepare(t)
	secret, weak := bytes.Repeat([]byte("s"), 32), bytes.Repeat([]byte("w"), 31)
	file := w.directory + ".jwks"
	w.write(file, fmt.Sprintf(`{"keys":[{"kty":"oct","kid":"s","k":%q},{"kty":"oct","kid":"w","k":%q}]}`, base64.RawURLEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(weak)))
	w.load(strings.ReplaceAll(policySite, "%a", w.legacy.Addr()), w.issuerBlock("jwks_file "+file+"\nalgorithms HS256 HS512"), script(t, knows("somebody")))
	wantStatus(t, w.get("/", w.mintFor(enrichtest.WithSecret("HS256", secret), enrichtest.WithHeader("kid", "s"))), 200)
	w.received()
	for name, token := range map[string]string{
		"another secret":                     w.mintFor(enrichtest.WithSecret("HS256", weak), enrichtest.WithHeader("kid", "s")),
		"a secret shorter than its hash":     w.mintFor(enrichtest.WithSecret("HS512", secret), enrichtest.WithHeader("kid", "s")),
		"a secret shorter than any hash":     w.mintFor(enrichtest.WithSecret("HS256", weak), enrichtest.WithHeader("kid", "w")),
		"an algorithm that is not listed":    w.mintFor(enrichtest.WithSecret("HS384", secret), enrichtest.WithHeader("kid", "s")),
		"the issuer's public key, published": w.mintFor(),
		"no signature":                       w.mintFor(enrichtest.Unsigned("none")),
	} {
		t.Run(name, func(t *testing.T) { w.in(t).wantInvalidToken(t, w.get("/", token)) })
	}
	if n := w.issuer.Hits(enrichtest.KeySet) + w.issuer.Hits(enrichtest.Discovery); n != 0 {
		t.Errorf("%d requests to the issuer, and the keys are in a file", n)
	}
}

func TestIDTokensAreTakenOnlyWhereTheyAreAskedFor(t *testing.T) {
	for tokens, want := range map[string][2]int{"access": {200, 401}, "id": {401, 200}, "any": {200, 200}} {
		w := prepare(t)
		w.load(strings.ReplaceAll(policySite, "%a", w.legacy.Addr()), w.issuerBlock("tokens "+tokens)+"\ndirectory file "+w.directory)
		for i, token := range []string{w.mintFor(), w.issuer.Mint(enrichtest.Claims{"sub": "00u1ada", "aud": audience, "nonce": "n"}, enrichtest.WithType("JWT"))} {
			if got := w.get("/", token); got.StatusCode != want[i] {
				t.Errorf("tokens %s, token %d: status %d, want %d", tokens, i, got.StatusCode, want[i])
			}
		}
	}
}

func TestQueryTokensAreOffByDefault(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich\nreverse_proxy " + w.legacy.Addr())
	got := w.get("/?access_token="+w.token("00u1ada"), "")
	wantRefusal(t, got, 401)
	if c := got.Header.Get("WWW-Authenticate"); c != "Bearer" {
		t.Errorf("challenge %q", c)
	}
	w.nothingReceived()
}
