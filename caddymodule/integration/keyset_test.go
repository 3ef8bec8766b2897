package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestKeySetIsCachedRevalidatedAndPublic(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) {
			w := prepare(t)
			w.load("token_enrich_jwks\nrespond other", w.standard(), w.signer("algorithm "+alg, "rotate 10h", "rotate_overlap 1h"))
			w.signed()
			got := w.get("/.well-known/jwks.json", "")
			wantNoPrivatePart(t, got.body)
			keys := w.published().Keys
			if len(keys) != 1 || !keys[0].IsPublic() || keys[0].Algorithm != alg || keys[0].Use != "sig" || keys[0].KeyID != thumbprint(t, keys[0]) {
				t.Errorf("the key is %s", got.body)
			}
			for name, want := range map[string]string{
				"Content-Type": "application/json", "Cache-Control": "public, max-age=1800", "Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff",
			} {
				if v := got.Header.Get(name); v != want {
					t.Errorf("%s is %q, want %q", name, v, want)
				}
			}
			etag := got.Header.Get("ETag")
			if len(etag) < 10 || etag[0] != '"' {
				t.Fatalf("ETag is %q", etag)
			}
			head := w.do("HEAD", "/.well-known/jwks.json", "")
			if head.StatusCode != 200 || head.body != "" || head.Header.Get("ETag") != etag || head.Header.Get("Content-Length") != fmt.Sprint(len(got.body)) {
				t.Errorf("HEAD: %d %v %q", head.StatusCode, head.Header, head.body)
			}
			same := w.get("/.well-known/jwks.json", "", "If-None-Match", etag)
			if same.StatusCode != 304 || same.body != "" || same.Header.Get("ETag") != etag || same.Header.Get("Cache-Control") == "" {
				t.Errorf("with its ETag: %d %v %q", same.StatusCode, same.Header, same.body)
			}
			wantStatus(t, w.get("/.well-known/jwks.json", "", "If-None-Match", `"other"`), 200)
			if other := w.get("/.well-known/jwks.json/", ""); other.body != "other" {
				t.Errorf("a path below is answered %q", other.body)
			}
			metadata := w.get("/.well-known/openid-configuration", "")
			wantNoPrivatePart(t, metadata.body)
			var says map[string]any
			if err := json.Unmarshal([]byte(metadata.body), &says); err != nil {
				t.Fatal(err)
			}
			if says["issuer"] != "http://"+w.addr || says["jwks_uri"] != "http://"+w.addr+"/.well-known/jwks.json" || fmt.Sprint(says["id_token_signing_alg_values_supported"]) != "["+alg+"]" {
				t.Errorf("the metadata says %s", metadata.body)
			}
		})
	}
}

// TestKeySetOfAnIssuerWithAPath proves that libraries that begin with the
// issuer's name find the documents below its path.
func TestKeySetOfAnIssuerWithAPath(t *testing.T) {
	for _, path := range []string{"/gate/way", "/gate/way/"} {
		w := prepare(t)
		issuer := "http://" + w.addr + path
		w.load("token_enrich_jwks\nrespond other", w.standard(), "signing {\nissuer "+issuer+"\n}")
		eventually(t, "there are keys", func() bool { return w.get("/.well-known/jwks.json", "").StatusCode == 200 })
		metadata := w.get("/gate/way/.well-known/openid-configuration", "")
		var says struct {
			Issuer string `json:"issuer"`
			KeySet string `json:"jwks_uri"`
		}
		if err := json.Unmarshal([]byte(metadata.body), &says); err != nil || says.Issuer != issuer {
			t.Fatalf("the metadata says %s (%v)", metadata.body, err)
		}
		keys := w.get(strings.TrimPrefix(says.KeySet, "http://"+w.addr), "")
		if keys.body != w.get("/.well-known/jwks.json", "").body {
			t.Errorf("%s is answered %s", says.KeySet, keys.body)
		}
		if got := w.get("/gate/.well-known/jwks.json", ""); got.body != "other" {
			t.Errorf("another path is answered %q", got.body)
		}
	}
}

// A condition is a list of tags, compared weakly, or a star (RFC 9110,
// section 13.1.2).
func TestKeySetIsRevalidatedByAnyFormOfItsTag(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich_jwks", w.standard(), w.signer())
	w.signed()
	etag := w.get("/.well-known/jwks.json", "").Header.Get("ETag")
	for _, condition := range []string{etag, "W/" + etag, `"a", ` + etag, etag + `,"b"`, "*"} {
		wantStatus(t, w.get("/.well-known/jwks.json", "", "If-None-Match", condition), 304)
	}
	for _, condition := range []string{`"a"`, `W/"a"`, strings.Trim(etag, `"`), ""} {
		wantStatus(t, w.get("/.well-known/jwks.json", "", "If-None-Match", condition), 200)
	}
}

func TestKeySetTakesNoOtherMethod(t *testing.T) {
	for name, errors := range map[string]string{"": "", " with an error page": "\nhandle_errors {\nrespond \"page {err.status_code}\"\n}"} {
		w := prepare(t)
		w.load("token_enrich_jwks"+errors, w.standard(), w.signer())
		w.signed()
		for _, path := range []string{"/.well-known/jwks.json", "/.well-known/openid-configuration"} {
			for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"} {
				got := w.do(method, path, "")
				if got.StatusCode != 405 || got.Header.Get("Allow") != "GET, HEAD" {
					t.Errorf("%s %s%s: %d, Allow %q", method, path, name, got.StatusCode, got.Header.Get("Allow"))
				}
				if errors != "" && got.body != "page 405" {
					t.Errorf("%s %s: the error page is %q", method, path, got.body)
				}
			}
		}
	}
}
