package library

import (
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
)

// Arguments: what a function is given for what the expression says. Okta's
// language converts freely: a number where a string is wanted, a string with commas
// where a list is, a string of digits where an integer is.

// Convert turns an argument into the type that the parameter wants.
func (p *Param) Convert(e *Env, v any) (any, error) {
	switch p.Want {
	case argText:
		if _, ok := v.(string); ok {
			return v, nil
		}
		return e.Text(v)
	case argList:
		return e.list(v)
	case argInt:
		if _, ok := v.(int64); ok {
			return v, nil
		}
		return value.Integer(v)
	case argMap:
		if value.KindOf(v) != value.KindMap {
			return nil, fmt.Errorf("want a map, not %s", value.KindOf(v))
		}
	case argElements:
		if value.KindOf(v)&(value.KindList|value.KindText) == 0 {
			return nil, fmt.Errorf("want a list, not %s", value.KindOf(v))
		}
	case argNumeric:
		if value.KindOf(v)&(value.KindText|value.KindNumber) == 0 {
			return nil, fmt.Errorf("want a string or a number, not %s", value.KindOf(v))
		}
	case argAny:
	}
	return v, nil
}

// list reads a value as a list: a list, or a string with commas.
func (e *Env) list(v any) (any, error) {
	switch x := v.(type) {
	case []any:
		return v, nil
	case string:
		return e.SplitCSV(x)
	}
	return nil, fmt.Errorf("want a list, not %s", value.KindOf(v))
}
