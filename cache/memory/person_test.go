package memory_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
)

// person loads somebody with so many groups, none of whose strings are
// shared.
func person(id string, groups int) func(context.Context) (*cachetest.Person, error) {
	return func(context.Context) (*cachetest.Person, error) {
		p := &cachetest.Person{ID: strings.Clone(id), Login: id + "@example.com"}
		for i := range groups {
			p.Groups = append(p.Groups, fmt.Sprintf("%s-group-%03d", id, i))
		}
		return p, nil
	}
}
