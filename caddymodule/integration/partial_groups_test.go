package integration

// What a directory or a token brings of the groups in part, or in a form that may
// be read in two ways, is tried here over HTTP (C32, C33).

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// requiring is a site whose requirements are these.
func (w *world) requiring(requirements ...string) string {
	site := "token_enrich {\n"
	for _, r := range requirements {
		site += "require `" + r + "`\n"
	}
	return site + "}\nreverse_proxy " + w.legacy.Addr()
}

// manyGroups is a service that knows 120 groups of everybody and lists 50 a page.
func manyGroups(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		var groups []map[string]string
		for i := page*50 + 1; i <= min(page*50+50, 120); i++ {
			groups = append(groups, map[string]string{"id": fmt.Sprintf("g%d", i), "name": fmt.Sprintf("Group %d", i)})
		}
		answer := map[string]any{"user": map[string]string{"id": "00u1ada"}, "value": groups}
		if page < 2 {
			answer["@odata.nextLink"] = fmt.Sprintf("http://%s%s?page=%d", r.Host, r.URL.Path, page+1)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestTheFirstPageIsNotAllGroups(t *testing.T) {
	w := prepare(t)
	url := manyGroups(t)
	for _, tc := range []struct {
		option string
		want   [2]int // for barring, and for one that asks for Group 120
		reason string
	}{
		{option: "", want: [2]int{403, 403}, reason: "the answer says that there is more (odata.nextLink)"},
		{option: `next $.nextLink`, want: [2]int{403, 403}, reason: "the answer says that there is more (odata.nextLink)"},
		{option: `next "$['@odata.nextLink']"`, want: [2]int{403, 200}},
		{option: `next none`, want: [2]int{200, 403}},
	} {
		t.Run("with "+tc.option, func(t *testing.T) {
			w := w.in(t)
			people := `directory http ` + url + `/u/{subject} {
				name people
				profile_path $.user
				groups_path $.value[*]
				` + tc.option + `
			}`
			token := w.token("00u1ada")
			w.load(w.requiring(`isMemberOfGroupName("Group 1")`, `NOT isMemberOfGroupName("Group 120")`), w.issuerBlock(""), people)
			if got := w.get("/", token); got.StatusCode != tc.want[0] {
				t.Errorf("the barred member: %d, want %d", got.StatusCode, tc.want[0])
			}
			w.load(w.requiring(`isMemberOfGroupName("Group 120")`), w.issuerBlock(""), people)
			for range 3 {
				if got := w.get("/", token); got.StatusCode != tc.want[1] {
					t.Errorf("the member: %d, want %d", got.StatusCode, tc.want[1])
				}
			}
			told := strings.Count(w.logged(), `groups are unknown, so that rules`)
			if tc.reason == "" {
				return
			}
			if told == 0 || !strings.Contains(w.logged(), `directory \"people\": `+tc.reason) {
				t.Errorf("told %d times, or without the reason", told)
			}
			for range 3 {
				w.get("/", w.token("00u1ada"))
			}
			if again := strings.Count(w.logged(), `groups are unknown, so that rules`); again != told {
				t.Errorf("told %d times more", again-told)
			}
			got := w.adminDo(http.MethodPost, "/token_enrich/explain", `{"token":"`+token+`"}`)
			if !strings.Contains(got.body, `"groups_unknown":"directory \"people\": `+tc.reason) {
				t.Errorf("explain: %s", got.body)
			}
		})
	}
}

func TestATextOfGroupsIsNotOneGroup(t *testing.T) {
	w := prepare(t)
	t.Setenv("INTROSPECT_SECRET", introspectSecret)
	w.issuer.RequireClient(introspectClient, url.QueryEscape(introspectSecret))
	for _, introspected := range []bool{false, true} {
		for _, tc := range []struct {
			option string
			claim  any
			want   int // of who is barred by being in "barred"
		}{
			{"", "[staff, barred]", 403},
			{"", "staff,barred", 403},
			{"", "staff barred", 403},
			{"", `["staff","barred"]`, 403},
			{"", "staff", 200},
			{"", []string{"staff", "Sales, EMEA"}, 200},
			{"groups_delimiter ,", "[staff, barred]", 403},
			{"groups_delimiter ,", "[staff, other]", 200},
			{"groups_delimiter json", `["staff","barred"]`, 403},
			{"groups_delimiter json", `["staff","other"]`, 200},
			{"groups_delimiter json", `staff,other`, 403},
			{"groups_delimiter none", `staff,barred`, 200}, // one group of that name
		} {
			t.Run(fmt.Sprintf("%v with %s, introspected %v", tc.claim, tc.option, introspected), func(t *testing.T) {
				w := w.in(t)
				site := w.requiring(`NOT isMemberOfGroupName("barred")`)
				claims := enrichtest.Claims{"groups": tc.claim}
				var token string
				if introspected {
					claims["sub"] = "ada"
					token = w.opaque(claims)
					w.load(site, w.issuerBlock(tc.option+"\nintrospect "+w.issuer.URL(enrichtest.Introspection)+" {\n client_id "+introspectClient+"\n client_secret {env.INTROSPECT_SECRET}\n}"))
				} else {
					token = w.token("ada", claims)
					w.load(site, w.issuerBlock(tc.option))
				}
				if got := w.get("/", token); got.StatusCode != tc.want {
					t.Errorf("%d, want %d: %s", got.StatusCode, tc.want, got.body)
				}
				if tc.option == "" && tc.want == 403 && !strings.Contains(w.logged(), `issuer \"corp\": claim \"groups\": one text stands in the place of the list`) {
					t.Error("the reason is not in the log")
				}
			})
		}
	}
}
