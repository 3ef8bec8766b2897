package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
)

// validate does what caddy validate does: everything is provisioned, nothing
// is started, and all is given back.
func validate(t *testing.T, text string) error {
	t.Helper()
	text = fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n\tstorage file_system %s\n\tlog {\n\t\toutput discard\n\t}\n%s", t.TempDir(), text)
	config, err := adapt(text)
	if err != nil {
		return err
	}
	var c caddy.Config
	if err := caddy.StrictUnmarshalJSON(config, &c); err != nil {
		return err
	}
	return caddy.Validate(&c)
}

// configuration puts global options and a site into a Caddyfile whose head
// validate adds.
func configuration(global, site string) string {
	if global != "" {
		global = "\ttoken_enrich {\n" + global + "\n\t}\n"
	}
	return global + "}\nhttp://127.0.0.1:1 {\n" + site + "\n}\n"
}

// policyOf makes a site of one policy.
func policyOf(options string) string { return "token_enrich {\n" + options + "\n}\nrespond ok" }

const (
	corp    = "issuer https://corp.example.com {\nname corp\naudience api://legacy\n}\n"
	partner = "issuer https://partner.example.com {\nname partner\naudience api://legacy\n}\n"
	signing = "signing {\nissuer https://gateway.example.com\n}\n"
)

func TestConfigurationThatIsWrongInItselfDoesNotLoad(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good.yaml", people)
	for _, tc := range []struct {
		name, global, site string
		want               []string
	}{
		{"a policy without the global option", "", policyOf(""), []string{"no issuer is configured"}},
		{"a policy without an issuer", "explain shapes", policyOf(""), []string{"no issuer is configured"}},
		{"an issuer without audience", "issuer https://corp.example.com", "respond ok", []string{"audience"}},
		{"an issuer with audience and any_audience", "issuer https://corp.example.com {\naudience a\nany_audience\n}", "respond ok", []string{"audience"}},
		{"an issuer over plain HTTP", "issuer http://corp.example.com {\naudience a\n}", "respond ok", []string{"corp.example.com", "https"}},
		{"an issuer that is no URL", "issuer corp {\naudience a\n}", "respond ok", []string{"corp"}},
		{"two issuers of one name", corp + "issuer https://other.example.com {\nname corp\naudience a\n}", "respond ok", []string{`"corp"`}},
		{"two issuers of one identifier", corp + "issuer https://corp.example.com {\nname again\naudience a\n}", policyOf(""), []string{"corp", "again", "identifier"}},
		{"an algorithm that is none", "issuer https://corp.example.com {\naudience a\nalgorithms none\n}", "respond ok", []string{"none"}},
		{"a shared secret beside public keys", "issuer https://corp.example.com {\naudience a\nalgorithms HS256 RS256\n}", "respond ok", []string{"HMAC"}},
		{"a shared secret by URL", "issuer https://corp.example.com {\naudience a\nalgorithms HS256\n}", "respond ok", []string{"jwks_file"}},
		{"a type that is never an access token", "issuer https://corp.example.com {\naudience a\ntypes logout+jwt\n}", "respond ok", []string{"logout+jwt"}},
		{"a leeway of an hour", "issuer https://corp.example.com {\naudience a\nleeway 1h\n}", "respond ok", []string{"leeway"}},
		{"a floor above the refresh", "issuer https://corp.example.com {\naudience a\nkey_refresh 1s\nkey_min_interval 1m\n}", "respond ok", []string{"key_min_interval"}},
		{"keys from a file that is missing", "issuer https://corp.example.com {\naudience a\njwks_file " + dir + "/none.json\n}", "respond ok", []string{"none.json"}},
		{"keys from a file without a usable key", "issuer https://corp.example.com {\naudience a\njwks_file " + file("keys.json", `{"keys":[{"kty":"WAT"}]}`) + "\n}", "respond ok", []string{"jwks_file", "no usable key"}},
		{"an authority that is missing", "issuer https://corp.example.com {\naudience a\nca " + dir + "/none.pem\n}", "respond ok", []string{"none.pem"}},
		{"introspection without a client", "issuer https://corp.example.com {\naudience a\nintrospect https://corp.example.com/i\n}", "respond ok", []string{"introspect", "client_id"}},
		{"introspection without secret or key", "issuer https://corp.example.com {\naudience a\nintrospect https://corp.example.com/i {\nclient_id g\n}\n}", "respond ok", []string{"introspect", "client_secret"}},
		{"an environment variable that is missing", "issuer {env.TOKEN_ENRICH_TEST_UNSET} {\naudience a\n}", "respond ok", []string{"{env.TOKEN_ENRICH_TEST_UNSET}"}},
		{"a secret's file that is missing", "issuer https://corp.example.com {\naudience a\nintrospect https://corp.example.com/i {\nclient_id g\nclient_secret {file." + dir + "/none}\n}\n}", "respond ok", []string{"none"}},
		{"a secret's file without a slash", "issuer https://corp.example.com {\naudience a\nintrospect https://corp.example.com/i {\nclient_id g\nclient_secret {file.secret}\n}\n}", "respond ok", []string{"{file.secret}", "slash"}},
		{"another placeholder in a URL", "issuer https://{http.request.host} {\naudience a\n}", "respond ok", []string{"{http.request.host}"}},

		{"a directory file that is missing", corp + "directory file " + dir + "/none.yaml", "respond ok", []string{`directory "file"`, "none.yaml"}},
		{"a directory file that is broken", corp + "directory file " + file("broken.yaml", "users: ["), "respond ok", []string{`directory "file"`, "broken.yaml"}},
		{"a directory file that is empty", corp + "directory file " + file("empty.yaml", ""), "respond ok", []string{`directory "file"`, "empty.yaml"}},
		{"a directory file by a missing variable", corp + "directory file {env.TOKEN_ENRICH_TEST_UNSET}", "respond ok", []string{"{env.TOKEN_ENRICH_TEST_UNSET}"}},
		{"a directory without issuers beside two issuers", corp + partner + "directory file " + good, "respond ok", []string{`directory "file"`, "issuers is required"}},
		{"a directory for an issuer that is not there", corp + "directory file " + good + " {\nissuers crop\n}", "respond ok", []string{`"crop"`, `did you mean "corp"`}},
		{"two directories of one name", corp + "directory file " + good + "\ndirectory file " + good, "respond ok", []string{`"file"`}},
		{"a directory without an issuer", "directory file " + good, policyOf(""), []string{"no issuer is configured"}},

		{"a seal key that is no base64", corp + "cache {\nseal_key ????\n}", "respond ok", []string{"seal_key 1"}},
		{"a seal key that is short", corp + "cache {\nseal_key c2hvcnQ=\n}", "respond ok", []string{"seal_key 1"}},
		{"a second seal key that is short", corp + "cache {\nseal_key AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= c2hvcnQ=\n}", "respond ok", []string{"seal_key 2"}},
		{"a password over plaintext to another host", corp + "cache {\nredis redis://:secret@cache.example.com:6379\n}", "respond ok", []string{"plaintext"}},
		{"a Redis address that is none", corp + "cache {\nredis http://cache.example.com\n}", "respond ok", []string{"redis"}},

		{"signing over plain HTTP", corp + "signing {\nissuer http://gateway.example.com\n}", "respond ok", []string{"signing"}},
		{"signing with a key file that is missing", corp + "signing {\nissuer https://gateway.example.com\nkey_file " + dir + "/none.pem\n}", "respond ok", []string{"none.pem"}},
		{"signing with a key file that is no key", corp + "signing {\nissuer https://gateway.example.com\nkey_file " + file("no.pem", "hello") + "\n}", "respond ok", []string{"no.pem"}},
		{"an overlap longer than the rotation", corp + "signing {\nissuer https://gateway.example.com\nrotate 1h\nrotate_overlap 2h\n}", "respond ok", []string{"rotate_overlap"}},
		{"a token without signing", corp, policyOf("token {\naudience a\n}"), []string{"signing"}},
		{"the key set without signing", corp, "token_enrich_jwks", []string{"signing"}},

		{"an unknown issuer", corp, policyOf("name p\nissuers crop"), []string{`"crop"`, `did you mean "corp"`}},
		{"two policies of one name", corp, "token_enrich /a {\nname p\n}\ntoken_enrich {\nname p\n}\nrespond ok", []string{`"p"`}},
		{"a policy named like one without a name", corp, "token_enrich /a {\nname policy-1\n}\ntoken_enrich {\n}\nrespond ok", []string{`"policy-1"`}},
		{"a file of claims that is missing", corp, policyOf("okta_claims " + dir + "/none.json"), []string{"none.json"}},
		{"a file of claims that is no JSON", corp, policyOf("okta_claims " + file("claims.json", "{")), []string{"claims.json"}},
		{"a claim below a file of claims that reads an unknown one", corp, policyOf("okta_claims " + file("claim.json", oktaClaim) + "\nclaim b claims.lgin"), []string{"lgin", `did you mean "login"`}},
		{"a claim that a file of claims computes already", corp, policyOf("claim login user.login\nokta_claims " + file("claim.json", oktaClaim)), []string{`"login"`}},
		{"a claim of a file that reads an unknown one", corp, policyOf("okta_claims " + file("reads.json", strings.Replace(oktaClaim, "user.login", "claims.lgin", 1))), []string{"reads.json", `claim "login"`, "lgin"}},
		{"a claim of a file whose scope holds a space", corp, policyOf("okta_claims " + file("scope.json", strings.Replace(oktaClaim, `"scopes":[]`, `"scopes":["a b"]`, 1))), []string{"scope.json", `claim "login"`, `"a b"`}},
		{"a requirement that reads an unknown claim", corp, policyOf("claim login user.login\nrequire `claims.logn == \"ada\"`"), []string{"logn", `did you mean "login"`}},
		{"a requirement on the host of a site of any host", corp, "", []string{"request.host"}},
		{"a shorthand that Caddy rewrote in a claim", corp, policyOf("claim a `user.login + \"{path}\"`"), []string{"{http."}},
		{"a shorthand that Caddy rewrote in a requirement", corp, policyOf("require `user.login == \"{host}\"`"), []string{"{http."}},
		{"a shorthand that Caddy rewrote in an allow list", corp, policyOf("claim a allow_list 00g {\nvalue `group.name + \"{path}\"`\n}"), []string{"{http."}},
		{"a shorthand that Caddy rewrote in a dynamic allow list", corp, policyOf("claim a allow_list expression `Arrays.toCsvString({\"{path}\"})`"), []string{"{http."}},

		{"a header name with a space", corp, policyOf("header \"X User\" sub"), []string{`"X User"`}},
		{"a header name that is not ASCII", corp, policyOf("header X-Üser sub"), []string{"X-Üser"}},
		{"two headers that fold to one", corp, policyOf("header X-User sub\nheader x_user email"), []string{"x_user", "X-User"}},
		{"two headers that fold to one by case", corp, policyOf("header X-User sub\nheader X-USER email"), []string{"X-USER", "X-User"}},
		{"a claim's header that folds to another", corp, policyOf("header X-Claim-User sub\nheaders_from X-Claim- user"), []string{"X-Claim-User"}},
		{"two claims whose headers fold to one", corp, policyOf("headers_from X-Claim- user_id user-id"), []string{"user-id"}},
		{"computed claims whose headers fold to one", corp, policyOf("claim user_id user.id\nclaim user-id user.id\nheaders_from X-Claim-"), []string{"user"}},
		{"a prefix that is too short", corp, policyOf("headers_from X-U"), []string{"X-U"}},
		{"a prefix that owns every extension header", corp, policyOf("headers_from X---"), []string{"X---"}},
		{"a prefix above a refused name", corp, policyOf("headers_from X-Forwarded-"), []string{"X-Forwarded-"}},
		{"a prefix above Content", corp, policyOf("headers_from Content-"), []string{"Content-"}},
		{"two prefixes that overlap", corp, policyOf("headers_from X-Claim-\nheaders_from X_Claim_A a"), []string{"X_Claim_A"}},
		{"an unknown preset", corp, policyOf("preset sitemider"), []string{"sitemider", `did you mean "siteminder"`}},
		{"options of a header that contradict each other", corp, policyOf("header X-G groups {\nlist json\nescape backslash\n}"), []string{"X-G", "list json", "escape"}},
		{"an empty default", corp, policyOf("header X-G groups {\non_empty default \"\"\n}"), []string{"X-G", "on_empty"}},
		{"a default that does not fit its encoding", corp, policyOf("header X-G groups {\nencode ascii\non_empty default Ü\n}"), []string{"X-G", "default"}},
		{"a header that is also read as the token", corp, policyOf("token_from header X-Token\nheader x_token sub"), []string{"X-Token"}},
		{"a prefix that is also read as the token", corp, policyOf("token_from header X-Claim-Token\nheaders_from X-Claim-"), []string{"X-Claim-Token"}},
		{"a header that another policy reads as the token", corp, "token_enrich /a {\ntoken_from header X-Token\n}\ntoken_enrich {\nheader X-Token sub\n}\nrespond ok", []string{"X-Token"}},
		{"a signed token where a claim is written", corp + signing, policyOf("header X-Token sub\ntoken {\nheader x_token\naudience a\n}"), []string{"x_token"}},
		{"two signed tokens in one place", corp + signing, policyOf("token {\naudience a\n}\ntoken {\naudience b\n}"), []string{"Authorization"}},
		{"a signed token in a refused header", corp + signing, policyOf("token {\nheader X-Forwarded-For\naudience a\n}"), []string{"X-Forwarded-For"}},
		{"a resource without TLS", corp, policyOf("resource http://app.example.com"), []string{"resource", "https"}},
		{"a resource with a fragment", corp, policyOf("resource https://app.example.com/#a"), []string{"resource", "fragment"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := configuration(tc.global, tc.site)
			if tc.site == "" { // a site that takes any host
				text = "\ttoken_enrich {\n" + tc.global + "\n\t}\n}\n:1 {\n" + policyOf("require `request.host == \"a\"`") + "\n}\n"
			}
			err := validate(t, text)
			if err == nil {
				t.Fatal("it loads")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not speak of %s: %v", want, err)
				}
			}
		})
	}
}

// oktaClaim is a claim as Okta's Claims API gives it.
const oktaClaim = `{"id":"ocl1","name":"login","status":"ACTIVE","claimType":"RESOURCE","valueType":"EXPRESSION","value":"user.login","conditions":{"scopes":[]},"system":false,"alwaysIncludeInToken":true}`

func TestNamesThatCarryRoutingFramingOrCredentialsAreRefusedAtLoad(t *testing.T) {
	for _, name := range []string{
		"Host", "Connection", "Proxy", "Transfer-Encoding", "TE", "Trailer", "Upgrade", "Content-Length", "Content-Type", "Content-Encoding",
		"Cookie", "Authorization", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix",
		"Forwarded", "Via", "X-Real-IP",
	} {
		for _, spelled := range []string{name, strings.ToLower(name), strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", ".")} {
			t.Run(spelled, func(t *testing.T) {
				err := validate(t, configuration(corp, policyOf("header "+spelled+" sub")))
				if err == nil || !strings.Contains(err.Error(), spelled) {
					t.Errorf("want a refusal that names it, got %v", err)
				}
			})
		}
	}
}

func TestNamesThatApplicationsReadLoad(t *testing.T) {
	for _, name := range []string{"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "Remote-User", "SM_USER"} {
		if err := validate(t, configuration(corp, policyOf("header "+name+" sub"))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRequirementOnTheHostLoadsWhereTheSitesHostIsFixed(t *testing.T) {
	text := "\ttoken_enrich {\n" + corp + "\n\t}\n}\nhttp://app.example.com {\n" + policyOf("require `request.host == \"app.example.com\"`") + "\n}\n"
	if err := validate(t, text); err != nil {
		t.Error(err)
	}
}

// An issuer, a Redis and a directory that nobody answers for are no error.
func TestProvisioningNeedsNoServer(t *testing.T) {
	nobody := cachetest.FreeAddr(t)
	hits := 0
	storage := t.TempDir()
	global := fmt.Sprintf(`issuer http://%s {
	name corp
	audience a
	introspect http://%s/introspect {
		client_id g
		client_secret s
	}
}
%s
signing {
	issuer https://gateway.example.com
}`, nobody, nobody, script(t, unreachable(&hits)))
	text := configuration(global, policyOf("header X-User sub\ntoken {\naudience a\n}"))
	text = fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n\tstorage file_system %s\n\tlog {\n\t\toutput discard\n\t}\n%s", storage, text)
	config, err := adapt(text)
	if err != nil {
		t.Fatal(err)
	}
	var c caddy.Config
	if err := caddy.StrictUnmarshalJSON(config, &c); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&c); err != nil {
		t.Error(err)
	}
	if hits != 0 {
		t.Errorf("the directory was asked %d times", hits)
	}
	left, err := os.ReadDir(storage)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 0 {
		t.Errorf("validation left %v in the storage", left)
	}
}
