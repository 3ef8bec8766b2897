package check

import "testing"

// loginWarnings returns the warnings about a policy at which people log in, and about
// the logs of its site.
func loginWarnings(t *testing.T, options, global, policy, site string) []string {
	t.Helper()
	app, config := loaded(t, "{\n\tadmin off\n\tstorage file_system "+t.TempDir()+"\n"+options+
		"\n\ttoken_enrich {\n\t\tissuer https://idp.example.com {\n\t\t\tname corp\n\t\t\tlogin {\n\t\t\t\tclient_id gateway\n\t\t\t}\n\t\t}\n"+global+
		"\n\t}\n}\n"+"https://app.example.com {\n"+site+"\ntoken_enrich {\nlogin corp\n"+policy+"\n}\nreverse_proxy app:80\n}\n")
	var list []string
	for _, w := range Warnings(app, config) {
		list = append(list, w.Where+": "+w.Text)
	}
	return list
}

func TestCheckFindsLoginsThatMayFail(t *testing.T) {
	const filter = "log {\nformat filter {\nrequest>uri query {\ndelete code\ndelete state\n}\nresp_headers>Location delete\nrequest>headers>X-User delete\n}\n}"
	const redis = "cache {\nredis redis://localhost:6379\n}"
	const users = "directory http https://users.example.com/{subject}"
	for _, tc := range []struct {
		name, options, global, policy, site string
		want                                []string
	}{
		{name: "nothing", policy: "header X-User email", options: "log {\nformat filter {\nrequest>headers>X-User delete\n}\n}"},
		{name: "every claim in headers", policy: "headers_from X-Claim-", options: "log {\nformat filter {\nrequest>headers delete\n}\n}", want: []string{"headers_from X-Claim-: … every claim of the ID token … 3,900 bytes"}},
		{name: "an expression over all", policy: "claim all token", want: []string{"an expression that reads token as a whole: … every claim"}},
		{name: "groups", policy: "claim g groups starts_with A", want: []string{"groups: … the groups of the ID token … configure a directory"}},
		{name: "groups of a directory", global: users, policy: "claim g groups starts_with A"},
		{name: "Redis", global: redis, want: []string{"session: … on this node only"}},
		{name: "an access log", policy: "header X-User email", site: "log {\nformat filter {\nrequest>headers>X-User delete\n}\n}", want: []string{
			"log log0: it contains the codes and states of logins (query code, query state, response Location) … resp_headers>Location delete",
		}},
		{name: "a filtered one", policy: "header X-User email", site: filter},
		{name: "an address in a log", options: "log {\nformat filter {\nrequest>headers>X-User delete\nrequest delete\nresp_headers delete\n}\n}", site: "log\nlog_append where {http.request.uri}", want: []string{
			"log_append writes {http.request.uri}",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wantWarnings(t, loginWarnings(t, tc.options, tc.global, tc.policy, tc.site), tc.want...)
		})
	}
}
