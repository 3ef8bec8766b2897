package claim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// members splits a JSON object. Unlike encoding/json's own decoding into a
// struct it minds the case of names and refuses a repeated one: which of the
// two Okta would have taken is anybody's guess.
func members(text json.RawMessage) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	open, err := d.Token()
	if err != nil {
		return nil, err
	}
	if open != json.Delim('{') {
		return nil, errors.New("is not an object")
	}
	m := make(map[string]json.RawMessage)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, ok := t.(string)
		if !ok {
			return nil, errors.New("has a member without a name")
		}
		if _, again := m[name]; again {
			return nil, &fieldError{name, errors.New("appears twice")}
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		m[name] = value
	}
	return m, nil
}

// isNull reports whether a member is absent or null, which Okta's answers use
// alike.
func isNull(value json.RawMessage) bool {
	return value == nil || bytes.Equal(value, []byte("null"))
}

func stringMember(m map[string]json.RawMessage, name string) (string, error) {
	if isNull(m[name]) {
		return "", nil
	}
	var s string
	if err := json.Unmarshal(m[name], &s); err != nil {
		return "", &fieldError{name, errors.New("must be a string")}
	}
	return s, nil
}

func boolMember(m map[string]json.RawMessage, name string) (bool, error) {
	if isNull(m[name]) {
		return false, nil
	}
	var b bool
	if err := json.Unmarshal(m[name], &b); err != nil {
		return false, &fieldError{name, errors.New("must be true or false")}
	}
	return b, nil
}

// scopesMember reads conditions.scopes. No conditions, no scopes and an empty
// list are all "any scope".
func scopesMember(m map[string]json.RawMessage) ([]string, error) {
	if isNull(m[memberConditions]) {
		return nil, nil
	}
	conditions, err := members(m[memberConditions])
	if err != nil {
		return nil, &fieldError{memberConditions, err}
	}
	for _, name := range slices.Sorted(maps.Keys(conditions)) {
		if name != memberScopes {
			// An unknown condition narrows the claim in a way that would be
			// lost here.
			return nil, &fieldError{memberConditions + "." + name, errors.New("is not a supported condition")}
		}
	}
	if isNull(conditions[memberScopes]) {
		return nil, nil
	}
	field := memberConditions + "." + memberScopes
	var list []any
	if err := json.Unmarshal(conditions[memberScopes], &list); err != nil {
		return nil, &fieldError{field, errors.New("must be a list of strings")}
	}
	scopes := make([]string, 0, len(list))
	for i, e := range list {
		s, ok := e.(string)
		if !ok || !isScope(s) {
			return nil, &fieldError{field, fmt.Errorf("element %d, %q, is not a scope", i, e)}
		}
		scopes = append(scopes, s)
	}
	if len(scopes) == 0 {
		return nil, nil
	}
	return scopes, nil
}
