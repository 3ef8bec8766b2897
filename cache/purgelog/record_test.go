package purgelog_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
)

func FuzzRecord(f *testing.F) {
	for _, r := range []purgelog.Record{
		{},
		{Kind: purgelog.PurgeUser, Name: purgelog.NameHash{1, 2, 3}},
		{Kind: purgelog.Deny, Name: purgelog.NameHash{15: 9}, Until: time.UnixMilli(5), IssuedBefore: time.UnixMilli(-5)},
		{Kind: purgelog.Undeny, Name: purgelog.NameHash{15: 9}, Until: time.UnixMilli(5)},
	} {
		b, err := r.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[1:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r purgelog.Record
		if r.UnmarshalBinary(b) != nil {
			return
		}
		again, err := r.AppendBinary(nil)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x became %x, %v", b, again, err)
		}
	})
}

func FuzzDetails(f *testing.F) {
	for _, r := range []purgelog.Record{
		{}, {Claim: "sub"}, {Reason: "laptop stolen"}, {Claim: "jti", Reason: "Gerät gestohlen – 14. März"},
	} {
		b := r.AppendDetails(nil)
		f.Add(b)
		f.Add(append(b, '\n'))
	}
	f.Add([]byte{})
	f.Add([]byte{200, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := purgelog.Record{Claim: "old", Reason: "old"}
		if r.UnmarshalDetails(b) != nil {
			if r.Claim != "old" || r.Reason != "old" {
				t.Fatalf("%x was refused and left %+v", b, r)
			}
			return
		}
		if purgelog.CheckReason(r.Reason) != nil {
			t.Fatalf("%q is no reason", r.Reason)
		}
		if again := r.AppendDetails(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

func TestAReasonIsShortPrintableText(t *testing.T) {
	for reason, good := range map[string]bool{
		"": true, "laptop stolen, ticket #4711": true, "Gerät gestohlen – 盗難": true,
		strings.Repeat("é", purgelog.MaxReason/2): true, strings.Repeat("é", purgelog.MaxReason/2) + "x": false,
		"two\nlines": false, "\x1b[2J": false, "tab\t": false, "\x00": false, "\u202eltr": false, "\u2028": false, "\xff": false, "\x7f": false, "\u0085": false,
	} {
		err := purgelog.CheckReason(reason)
		if (err == nil) != good {
			t.Errorf("%q: %v", reason, err)
		}
		if err != nil && strings.Contains(err.Error(), reason) {
			t.Errorf("the error says the reason: %v", err)
		}
	}
}
