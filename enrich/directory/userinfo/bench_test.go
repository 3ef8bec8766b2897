package userinfo

import (
	"encoding/json"
	"fmt"
	"testing"
)

// BenchmarkPerson is a user with 2,000 groups, from the bytes of the answer to
// the person.
func BenchmarkPerson(b *testing.B) {
	groups := make([]string, 2000)
	for i := range groups {
		groups[i] = fmt.Sprintf("Department %04d", i)
	}
	text, err := json.Marshal(object{"sub": "ada", "email": "ada@example.com", "groups": groups})
	if err != nil {
		b.Fatal(err)
	}
	d, service := answering(b, Config{}, string(text))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		service.asked = service.asked[:0]
		p, err := d.Person(b.Context(), query(nil))
		if err != nil || len(p.Groups) != len(groups) {
			b.Fatal(err)
		}
	}
}
