package integration

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/file"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// shaky is a directory of the tests' people that can be made to fail.
type shaky struct {
	directorytest.Fake
	err atomic.Pointer[error]
}

func newShaky(t *testing.T) *shaky {
	t.Helper()
	snapshot, err := file.Load([]byte(people))
	if err != nil {
		t.Fatal(err)
	}
	inner := snapshot.Directory()
	s := new(shaky)
	s.PersonFunc = func(ctx context.Context, q directory.Query) (*identity.Person, error) {
		if err := s.err.Load(); err != nil {
			return nil, *err
		}
		return inner.Person(ctx, q)
	}
	s.AppFunc = func(ctx context.Context, id string) (*identity.App, error) {
		if err := s.err.Load(); err != nil {
			return nil, *err
		}
		return inner.App(ctx, id)
	}
	s.AppUserFunc = func(ctx context.Context, q directory.Query, id string) (*identity.AppUser, error) {
		if err := s.err.Load(); err != nil {
			return nil, *err
		}
		return inner.AppUser(ctx, q, id)
	}
	return s
}

// fail makes every question from here on end in err; nil ends that.
func (s *shaky) fail(err error) {
	if err == nil {
		s.err.Store(nil)
		return
	}
	s.err.Store(&err)
}

// status lets the application see what the decision rests on.
const status = "\n\trequest_header X-Status {token_enrich.status}\n\treverse_proxy "

// enriched is a policy whose rules read the directory and the token.
const enriched = `
	token_enrich {
		name payroll
		app 0oa1payroll
		%s
		claim login user.login
		claim limit app.profile.maxLimit
		claim role appuser.role
		header X-User login
		header X-Limit limit
		header X-Role role
		header X-Subject sub
	}` + status

func policyWith(options string) string { return strings.Replace(enriched, "%s", options, 1) }

// want checks what the application received under a name; an empty text means
// no such header, under any spelling.
func wantHeader(t *testing.T, seen enrichtest.RawRequest, name, value string) {
	t.Helper()
	like := seen.Like(name)
	switch {
	case value == "" && len(like) > 0:
		t.Errorf("the application received %d headers like %v, want nothing like %s", len(like), like[0], name)
	case value != "" && (len(like) != 1 || like[0].Value != value):
		t.Errorf("the application received %v, want one %s with %q", like, name, value)
	}
}

func wantStatus(t *testing.T, got answer, code int) {
	t.Helper()
	if got.StatusCode != code {
		t.Fatalf("status %d, want %d; body %q", got.StatusCode, code, got.body)
	}
}

// wantRefusal checks what every refusal has in common.
func wantRefusal(t *testing.T, got answer, code int) {
	t.Helper()
	wantStatus(t, got, code)
	if c := got.Header.Get("Cache-Control"); c != "no-store" {
		t.Errorf("Cache-Control %q, want no-store", c)
	}
	if c, want := got.Header.Get("Retry-After"), code == http.StatusServiceUnavailable; (c != "") != want {
		t.Errorf("Retry-After is %q with status %d", c, code)
	}
	if got.body != "" {
		t.Errorf("the body is %q, want none", got.body)
	}
}

func (w *world) shaky(cache string, options ...string) (*shaky, string) {
	w.t.Helper()
	s := newShaky(w.t)
	global := w.issuerBlock("") + "\n" + script(w.t, &s.Fake, options...)
	if cache != "" {
		global += "\ncache {\n" + cache + "\n}"
	}
	return s, global
}

func TestDirectoryThatGoesDownIsNotNoticedWhileItsAnswersAreFresh(t *testing.T) {
	w := prepare(t)
	s, global := w.shaky("")
	w.load(policyWith("")+w.legacy.Addr(), global)
	wantStatus(t, w.get("/", w.token("00u1ada")), 200)
	w.received()
	s.fail(directory.ErrUnavailable)
	asked := s.Persons.Load()
	for range 3 {
		wantStatus(t, w.get("/", w.token("00u1ada")), 200) // another token each time
		seen := w.received()
		wantHeader(t, seen, "X-User", "ada@example.com")
		wantHeader(t, seen, "X-Limit", "40")
		wantHeader(t, seen, "X-Role", "admin")
		wantHeader(t, seen, "X-Status", "fresh")
	}
	if n := s.Persons.Load(); n != asked {
		t.Errorf("the directory was asked %d times more", n-asked)
	}
}

func TestDirectoryThatIsDownIsCoveredByStaleAnswers(t *testing.T) {
	w := prepare(t)
	s, global := w.shaky("fresh 1ms\nstale_if_error 1h")
	w.load(policyWith("")+w.legacy.Addr(), global)
	token := w.token("00u1ada")
	wantStatus(t, w.get("/", token), 200)
	w.received()
	s.fail(directory.ErrUnavailable)
	eventually(t, "a stale decision", func() bool {
		wantStatus(t, w.get("/", token), 200)
		seen := w.received()
		wantHeader(t, seen, "X-User", "ada@example.com")
		return len(seen.Values("X-Status")) == 1 && seen.Values("X-Status")[0] == "stale"
	})
	s.fail(nil)
	eventually(t, "a fresh decision", func() bool {
		wantStatus(t, w.get("/", token), 200)
		return w.received().Values("X-Status")[0] == "fresh"
	})
}

func TestDirectoryThatIsDownWithNothingUsableRefusesWith503(t *testing.T) {
	for name, err := range map[string]error{
		"unavailable": directory.ErrUnavailable, "throttled": directory.ErrThrottled, "refused": directory.ErrRefused,
		"malformed": directory.ErrMalformed, "too large": directory.ErrTooLarge, "no sentinel": errors.New("boom"),
		"not found that is a failure": errors.Join(directory.ErrNotFound, directory.ErrFailed),
	} {
		t.Run(name, func(t *testing.T) {
			w := prepare(t)
			s, global := w.shaky("")
			s.fail(err)
			w.load(policyWith("")+w.legacy.Addr(), global)
			wantRefusal(t, w.get("/", w.token("00u1ada")), 503)
			w.nothingReceived()
			s.fail(nil)
			eventually(t, "the directory's return", func() bool { return w.get("/", w.token("00u1ada")).StatusCode == 200 })
		})
	}
}

func TestStaleAnswersEndWithStaleIfError(t *testing.T) {
	w := prepare(t)
	s, global := w.shaky("fresh 1ms\nstale_if_error 0s")
	w.load(policyWith("")+w.legacy.Addr(), global)
	token := w.token("00u1ada")
	wantStatus(t, w.get("/", token), 200)
	s.fail(directory.ErrUnavailable)
	eventually(t, "the end of what is held", func() bool { return w.get("/", token).StatusCode == 503 })
	w.legacy.Forget()
	wantRefusal(t, w.get("/", token), 503)
	w.nothingReceived()
}

func TestOneWhoAnswersForTwoUsersIsNobody(t *testing.T) {
	for _, options := range []string{"", "on_missing_user continue"} {
		w := prepare(t)
		s, global := w.shaky("")
		s.fail(directory.ErrAmbiguous)
		w.load(policyWith(options)+w.legacy.Addr(), global)
		if got := w.get("/", w.token("00u1ada")); got.StatusCode < 400 {
			t.Errorf("with %q: status %d", options, got.StatusCode)
		}
		w.nothingReceived()
	}
}

func TestPanicOfADirectoryReachesNobody(t *testing.T) {
	w := prepare(t)
	d := &directorytest.Fake{PersonFunc: func(context.Context, directory.Query) (*identity.Person, error) { panic("boom 00u1ada") }}
	w.load(policyWith("")+w.legacy.Addr(), w.issuerBlock("")+"\n"+script(t, d))
	wantRefusal(t, w.get("/", w.token("00u1ada")), 503)
	w.nothingReceived()
}

func TestDirectoryErrorContinueGoesOnWithTheTokenAlone(t *testing.T) {
	for _, tc := range []struct {
		name, options string
		code          int
	}{
		{"without requirements", "", 200},
		{"with a requirement on the token", "require `token.sub == \"00u1ada\"`", 200},
		{"with a requirement on the user", "require `user == null`", 403},
		{"with a requirement on groups", "require `!isMemberOfGroup(\"00gOps\")`", 403},
		{"with a requirement on the app", "require `app == null`", 403},
		{"with a requirement on the app user", "require `appuser == null`", 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := prepare(t)
			s, global := w.shaky("")
			s.fail(directory.ErrUnavailable)
			w.load(policyWith("on_directory_error continue\n"+tc.options)+w.legacy.Addr(), global)
			got := w.get("/", w.token("00u1ada", enrichtest.Claims{"login": "forged", "role": "forged"}), "X-User", "root", "X-Role", "root")
			if tc.code != 200 {
				wantRefusal(t, got, tc.code)
				w.nothingReceived()
				return
			}
			wantStatus(t, got, 200)
			seen := w.received()
			wantHeader(t, seen, "X-User", "") // the rule's name hides the token's claim
			wantHeader(t, seen, "X-Limit", "")
			wantHeader(t, seen, "X-Role", "")
			wantHeader(t, seen, "X-Subject", "00u1ada")
			wantHeader(t, seen, "X-Status", "degraded")
			s.fail(nil) // what was decided in need is not kept
			eventually(t, "the directory's return", func() bool {
				wantStatus(t, w.get("/", w.token("00u1ada")), 200)
				return w.received().Values("X-Status")[0] == "fresh"
			})
		})
	}
}

func TestUserWhomTheDirectoryDoesNotKnow(t *testing.T) {
	for _, tc := range []struct {
		name, options string
		code          int
	}{
		{"is denied", "", 403},
		{"goes on with the token alone", "on_missing_user continue", 200},
		{"does not go on for on_directory_error", "on_directory_error continue", 403},
		{"fails a requirement on the user", "on_missing_user continue\nrequire `user == null`", 403},
		{"fails a requirement on groups", "on_missing_user continue\nrequire `!isMemberOfGroup(\"00gOps\")`", 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := prepare(t)
			_, global := w.shaky("")
			w.load(policyWith(tc.options)+w.legacy.Addr(), global)
			token := w.token("00u9new", enrichtest.Claims{"login": "forged"})
			got := w.get("/", token, "X-User", "root")
			if tc.code != 200 {
				wantRefusal(t, got, tc.code)
				w.nothingReceived()
			} else {
				wantStatus(t, got, 200)
				seen := w.received()
				wantHeader(t, seen, "X-User", "")
				wantHeader(t, seen, "X-Role", "")
				wantHeader(t, seen, "X-Limit", "40") // the app is known all the same
				wantHeader(t, seen, "X-Subject", "00u9new")
				wantHeader(t, seen, "X-Status", "degraded")
			}
		})
	}
}

func TestUserWhoIsMadeAfterwardsIsSeenWhenTheAbsenceIsOld(t *testing.T) {
	w := prepare(t)
	var made atomic.Bool
	d := &directorytest.Fake{PersonFunc: func(context.Context, directory.Query) (*identity.Person, error) {
		if !made.Load() {
			return nil, directory.ErrNotFound
		}
		return &identity.Person{User: &identity.User{ID: "00u9new", Login: "new@example.com"}, GroupsKnown: true}, nil
	}}
	w.load(policyOf("claim login user.login\nheader X-User login")+"\n", w.issuerBlock("")+"\n"+script(t, d)+"\ncache {\nnegative 1ms\n}")
	token := w.token("00u9new")
	wantRefusal(t, w.get("/", token), 403)
	made.Store(true)
	eventually(t, "the new user", func() bool { return w.get("/", token).StatusCode == 200 })
}

func TestRequestsThatComeBeforeTheFirstKeysWaitForThem(t *testing.T) {
	w := prepare(t)
	gate := make(chan struct{})
	w.issuer.Break(enrichtest.Discovery, enrichtest.Hold(gate))
	w.load(policyWith("") + w.legacy.Addr())
	done := make(chan answer)
	go func() { done <- w.get("/", w.token("00u1ada")) }()
	eventually(t, "the fetch", func() bool { return w.issuer.Hits(enrichtest.Discovery) > 0 })
	select {
	case got := <-done:
		t.Fatalf("answered %d without keys", got.StatusCode)
	default:
	}
	close(gate)
	wantStatus(t, <-done, 200)
}

func TestKeyServerThatIsDownFromTheStartRefusesWith503(t *testing.T) {
	for name, fault := range map[string]enrichtest.Fault{
		"an error": enrichtest.Status(500, "down"), "a cut connection": enrichtest.Cut(), "no answer": enrichtest.Hang(),
		"not JSON": enrichtest.Status(200, "<html>"), "a redirect": enrichtest.Redirect("http://127.0.0.1:1/"),
		"half an answer": enrichtest.Truncated(), "an endless answer": enrichtest.Huge(8 << 20),
	} {
		for _, e := range []enrichtest.Endpoint{enrichtest.Discovery, enrichtest.KeySet} {
			t.Run(name+" "+string(e), func(t *testing.T) {
				w := prepare(t)
				w.issuer.Break(e, fault)
				w.issuer.Break(enrichtest.OAuthMetadata, enrichtest.Status(404, ""))
				w.load(policyWith("")+w.legacy.Addr(), w.issuerBlock("timeout 500ms")+"\ndirectory file "+w.directory)
				wantRefusal(t, w.get("/", w.token("00u1ada")), 503)
				w.nothingReceived()
				w.issuer.Mend(e)
				eventually(t, "the keys", func() bool { return w.get("/", w.token("00u1ada")).StatusCode == 200 })
			})
		}
	}
}

func TestKeysKeepWorkingWhileTheKeyServerIsDown(t *testing.T) {
	w := prepare(t)
	w.load(policyWith("")+w.legacy.Addr(), w.issuerBlock("key_refresh 10ms")+"\ndirectory file "+w.directory)
	wantStatus(t, w.get("/", w.token("00u1ada")), 200)
	w.issuer.Break(enrichtest.KeySet, enrichtest.Status(500, "down"))
	hits := w.issuer.Hits(enrichtest.KeySet)
	eventually(t, "failing refreshes", func() bool { return w.issuer.Hits(enrichtest.KeySet) > hits+2 })
	wantStatus(t, w.get("/", w.token("00u1ada")), 200)
}

func TestKeysThatAreTooOldRefuseWith503(t *testing.T) {
	w := prepare(t)
	w.load(policyWith("")+w.legacy.Addr(), w.issuerBlock("key_refresh 10ms\nkey_max_stale 50ms")+"\ndirectory file "+w.directory)
	token := w.token("00u1ada")
	wantStatus(t, w.get("/", token), 200)
	w.issuer.Break(enrichtest.KeySet, enrichtest.Status(500, "down"))
	hits := w.issuer.Hits(enrichtest.KeySet)
	// Fetches go one after the other: when the next one comes, the one that may
	// have been under way has landed.
	eventually(t, "a refresh that fails", func() bool { return w.issuer.Hits(enrichtest.KeySet) > hits })
	eventually(t, "the end of the keys, also for a decision made before", func() bool {
		got := w.get("/", token)
		if got.StatusCode == 401 {
			t.Fatal("401 for a good token while the key server is down")
		}
		return got.StatusCode == 503
	})
	w.legacy.Forget()
	wantRefusal(t, w.get("/", w.token("00u1ada")), 503)
	w.nothingReceived()
	w.issuer.Mend(enrichtest.KeySet)
	eventually(t, "the keys", func() bool { return w.get("/", token).StatusCode == 200 })
}
