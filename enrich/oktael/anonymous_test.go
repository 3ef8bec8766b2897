package oktael

import (
	"testing"
)

func TestNobodyIsNullForAnAnonymousRequest(t *testing.T) {
	c := &Context{Anonymous: true, Token: map[string]any{"sub": "x"}, Request: map[string]any{"method": "GET"}}
	for source, want := range map[string]any{
		"user == null": true, "groups == null": true, "token == null": true, "app == null": true, "appuser == null": true,
		`user == null AND request.method == "GET"`: true,
		`user != null`: false,
	} {
		p, err := Compile(source, Options{Inputs: AllInputs &^ InputVars})
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		if got, err := p.Eval(c); err != nil || got != want {
			t.Errorf("%s = %v, %v; want %v", source, got, err, want)
		}
	}
	p, err := Compile(`isMemberOfGroupName("IT")`, Options{Inputs: AllInputs})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Eval(c); err == nil {
		t.Error("nobody's groups are known")
	}
}
