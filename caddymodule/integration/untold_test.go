package integration

// What no directory can say is tried here over HTTP and at load (C35).

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// plain is a service that says who somebody is, and the groups by name.
func plain(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"user": map[string]any{"id": "00u1ada", "email": "ada@example.com"}, "groups": []string{"IT"}})
	}))
	t.Cleanup(server.Close)
	return `directory http ` + server.URL + `/{subject} {
		profile_path $.user
		groups_path $.groups[*]
	}`
}

func TestARuleThatReadsWhatNoDirectoryCanSayDoesNotLoad(t *testing.T) {
	w := prepare(t)
	people := plain(t)
	for _, tc := range []struct{ rule, directory, says string }{
		{"require `NOT hasDirectoryUser()`", people, "a requirement reads assignments to other apps, which no directory of the policy's issuers can say"},
		{"claim boss user.getLinkedObject(\"manager\").email", people, "claim boss reads linked objects"},
		{"require `appuser == null`", people, "a requirement reads the assignment to the app"},
		{"claim limit app.profile.maxLimit", people, "claim limit reads the app"},
		{"claim limit app.profile.maxLimit", "", "claim limit reads the app"},
		{"require `NOT hasWorkdayUser()`", "", "a requirement reads assignments to other apps"},
		// The file can say it all, whatever else is there.
		{"require `NOT hasWorkdayUser()`", people + "\ndirectory file " + w.directory, ""},
		{"claim limit app.profile.maxLimit", people + "\ndirectory file " + w.directory, ""},
	} {
		err := w.tryLoad("token_enrich {\n name here\n "+tc.rule+"\n}\nreverse_proxy "+w.legacy.Addr(), w.issuerBlock(""), tc.directory)
		switch {
		case tc.says == "" && err != nil:
			t.Errorf("%s: %v", tc.rule, err)
		case tc.says != "" && (err == nil || !strings.Contains(err.Error(), `policy "here": `+tc.says)):
			t.Errorf("%s: %v, want %q", tc.rule, err, tc.says)
		}
	}
}

func TestARequirementOnWhatNoDirectoryCanSayDenies(t *testing.T) {
	w := prepare(t)
	people := plain(t)
	for requirement, want := range map[string]int{
		`user.email == "ada@example.com"`:                                   200,
		`user.department == null`:                                           200, // an attribute that she lacks
		`NOT user.isMemberOf({"group.type": "APP_GROUP"})`:                  403,
		`NOT user.isMemberOf({"group.id": "x", "group.type": "APP_GROUP"})`: 200, // whatever its type is
		`user.lastLogin == null`:                                            403,
		`Arrays.isEmpty(groups.?[type == "BUILT_IN"])`:                      403,
		`NOT isMemberOfGroupName("barred")`:                                 200,
	} {
		w.load("token_enrich {\n require `"+requirement+"`\n}\nreverse_proxy "+w.legacy.Addr(), w.issuerBlock(""), people)
		got := w.get("/", w.token("00u1ada"))
		if got.StatusCode != want {
			t.Errorf("%s: %d, want %d: %s", requirement, got.StatusCode, want, got.body)
		}
		if told := strings.Contains(w.logged(), "no directory can say this: "); want == 403 && !told {
			t.Errorf("%s: the log does not tell why", requirement)
		}
	}
}
