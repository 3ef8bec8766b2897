package purgelog_test

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
)

// A denial refuses tokens that were issued at or before a moment, so that a user
// who was logged out everywhere can log in again.
func ExampleLog_Deny() {
	log := purgelog.New(purgelog.Options{})
	defer log.Close()
	user := purgelog.NameHash{1} // a cache's key deriver makes these

	now := time.Now()
	_, spread, err := log.Deny(context.Background(), purgelog.Record{
		Name: user, Until: now.Add(time.Hour), IssuedBefore: now, Claim: "sub",
	})
	fmt.Println("this node alone:", spread == purgelog.ThisNode, err)
	fmt.Println("issued before:", log.Denials().Denied(now, now.Add(-time.Minute), user))
	fmt.Println("issued later:", log.Denials().Denied(now, now.Add(time.Minute), user))

	// Output:
	// this node alone: true <nil>
	// issued before: true
	// issued later: false
}
