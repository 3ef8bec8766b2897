package oktael

import "fmt"

// callNode calls a function or, where overloads is set, the method that fits
// the receiver.
type callNode struct {
	position
	fn        *function
	overloads []*function
	args      []node // of a method, the receiver first
	safe      bool
	prepared  any // what the function prepared from literal arguments
}

func (n *callNode) eval(e *evaluation) (any, error) {
	base, fn := len(e.stack), n.fn
	defer func() { e.stack = e.stack[:base] }()
	nulls := false
	for i, arg := range n.args {
		v, err := e.run(arg)
		if err != nil {
			return nil, err
		}
		if i == 0 && (n.overloads != nil || fn.receiver != 0) {
			if v == nil {
				if n.safe {
					return nil, nil
				}
				return nil, e.wrap(n.at(), onNull("null has no method %s", n.name()))
			}
			if fn, err = n.choose(v); err == nil {
				err = e.consumeArgument(v)
			}
			if err != nil {
				return nil, e.wrap(n.at(), err)
			}
			e.stack = append(e.stack, v)
			continue
		}
		p := fn.param(i)
		switch {
		case v != nil:
			if v, err = p.convert(&e.env, v); err == nil {
				err = e.consumeArgument(v)
			}
			if err != nil {
				return nil, e.wrap(arg.at(), fmt.Errorf("%s: argument %s: %w", fn.name, p.name, err))
			}
		case p.nullable:
		case fn.onNull == nullFails:
			return nil, e.wrap(arg.at(), onNull("%s: argument %s is null", fn.name, p.name))
		default:
			nulls = true
		}
		e.stack = append(e.stack, v)
	}
	if nulls {
		switch fn.onNull {
		case nullFalse:
			return false, nil
		case nullZero:
			return int64(0), nil
		default:
			return nil, nil
		}
	}
	v, err := fn.call(&e.env, n.prepared, e.stack[base:])
	if err != nil {
		return nil, e.wrap(n.at(), fmt.Errorf("%s: %w", fn.name, err))
	}
	if s, ok := v.(string); ok && len(s) > MaxText {
		return nil, e.wrap(n.at(), fmt.Errorf("%s: the text is longer than %d bytes: %w", fn.name, MaxText, ErrLimit))
	}
	return v, nil
}

// choose gives the method for a receiver.
func (n *callNode) choose(receiver any) (*function, error) {
	kind := kindOf(receiver)
	if n.overloads == nil {
		if n.fn.receiver&kind == 0 {
			return nil, fmt.Errorf("%s has no method %s", kind, n.fn.name)
		}
		return n.fn, nil
	}
	for _, f := range n.overloads {
		if f.receiver&kind != 0 {
			return f, nil
		}
	}
	return nil, fmt.Errorf("%s has no method %s", kind, n.overloads[0].name)
}

func (n *callNode) name() string {
	if n.fn != nil {
		return n.fn.name
	}
	return n.overloads[0].name
}
