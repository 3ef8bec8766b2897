package rest

import (
	"encoding/json"
	"fmt"
	"testing"
)

// BenchmarkPerson is a user with 2,000 groups, from the bytes of the answer to
// the person.
func BenchmarkPerson(b *testing.B) {
	groups := make([]object, 2000)
	for i := range groups {
		groups[i] = object{"id": fmt.Sprintf("00g%017d", i), "type": "OKTA_GROUP", "profile": object{"name": fmt.Sprintf("Department %04d", i)}}
	}
	text, err := json.Marshal(object{"user": object{"id": "ada", "profile": object{"email": "ada@example.com"}}, "groups": groups})
	if err != nil {
		b.Fatal(err)
	}
	for name, c := range map[string]Config{
		"shape":             {},
		"path to the list":  {ProfilePath: "$.user.profile", GroupsPath: "$.groups"},
		"path to the names": {ProfilePath: "$.user.profile", GroupsPath: "$.groups[*].profile.name"},
	} {
		b.Run(name, func(b *testing.B) {
			d, service := answering(b, c, string(text))
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				service.asked, service.bodies = service.asked[:0], service.bodies[:0]
				p, err := d.Person(b.Context(), query("ada", ""))
				if err != nil || len(p.Groups) != len(groups) {
					b.Fatal(err)
				}
			}
		})
	}
}
