package oktael

import "fmt"

// convert turns an argument into the type that the parameter wants.
func (p *parameter) convert(e *env, v any) (any, error) {
	switch p.want {
	case argText:
		if _, ok := v.(string); ok {
			return v, nil
		}
		return e.text(v)
	case argList:
		return e.list(v)
	case argInt:
		if _, ok := v.(int64); ok {
			return v, nil
		}
		return integer(v)
	case argMap:
		if kindOf(v) != kindMap {
			return nil, fmt.Errorf("a map is wanted, not %s", kindOf(v))
		}
	case argElements:
		if kindOf(v)&(kindList|kindText) == 0 {
			return nil, fmt.Errorf("a list is wanted, not %s", kindOf(v))
		}
	case argNumeric:
		if kindOf(v)&(kindText|kindNumber) == 0 {
			return nil, fmt.Errorf("a text or a number is wanted, not %s", kindOf(v))
		}
	case argAny:
	}
	return v, nil
}

// list reads a value as a list: a list, or a text with commas.
func (e *env) list(v any) (any, error) {
	switch x := v.(type) {
	case []any:
		return v, nil
	case string:
		return e.splitCSV(x)
	}
	return nil, fmt.Errorf("a list is wanted, not %s", kindOf(v))
}
