package userinfo

import (
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
)

// FuzzAnswer proves that no answer makes a person of somebody else, and that
// groups are known only where each has an id.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"sub":"ada","groups":["a",{"id":"1"}],"updated_at":1}`, `{"sub":"bob"}`, `{"sub":"ada","_claim_names":1}`,
		`{"sub":"ada","sub":"bob"}`, `{"sub":"ada","updated_at":"2026-01-01T00:00:00Z","hasgroups":true}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		d, _ := answering(t, Config{}, body)
		p, err := d.Person(t.Context(), query(nil))
		if err != nil {
			if !directory.Failed(err) {
				t.Errorf("an answer became %v", err)
			}
			return
		}
		if p.User.ID != "ada" || p.User.Profile["sub"] != "ada" {
			t.Errorf("it is %q", p.User.ID)
		}
		for _, g := range p.Groups {
			if g.ID == "" || !p.GroupsKnown {
				t.Errorf("group %+v, known %v", g, p.GroupsKnown)
			}
		}
	})
}
