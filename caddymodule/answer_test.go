package caddymodule

import (
	"encoding/json"
	"testing"
)

func TestClaimsInPlaceholders(t *testing.T) {
	for _, tc := range []struct {
		claim any
		want  string
	}{
		{nil, ""},
		{"a <b> & c", "a <b> & c"},
		{true, "true"},
		{int64(9007199254740993), "9007199254740993"},
		{json.Number("123456789012345678901"), "123456789012345678901"},
		{[]any{"R&D", "<all>", nil, int64(1)}, `["R&D","<all>",null,1]`},
		{map[string]any{"b": "x\ny", "a": []any{}}, `{"a":[],"b":"x\ny"}`},
	} {
		if got := claimText(tc.claim); got != tc.want {
			t.Errorf("%#v is written as %s, want %s", tc.claim, got, tc.want)
		}
	}
}
