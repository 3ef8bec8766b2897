package oktael

import (
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/library"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
)

// callNode calls a function or, where overloads is set, the method that fits
// the receiver.
type callNode struct {
	position
	fn        *library.Function
	overloads []*library.Function
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
		if i == 0 && (n.overloads != nil || fn.Receiver != 0) {
			if v == nil {
				if n.safe {
					return nil, nil
				}
				return nil, e.wrap(n.at(), value.NullError("null has no method %s", n.name()))
			}
			if fn, err = n.choose(v); err == nil {
				err = e.ConsumeArgument(v)
			}
			if err != nil {
				return nil, e.wrap(n.at(), err)
			}
			e.stack = append(e.stack, v)
			continue
		}
		p := fn.Param(i)
		switch {
		case v != nil:
			if v, err = p.Convert(&e.Env, v); err == nil {
				err = e.ConsumeArgument(v)
			}
			if err != nil {
				return nil, e.wrap(arg.at(), fmt.Errorf("%s: argument %s: %w", fn.Name, p.Name, err))
			}
		case p.Nullable:
		case fn.OnNull == library.NullFails:
			return nil, e.wrap(arg.at(), value.NullError("%s: argument %s is null", fn.Name, p.Name))
		default:
			nulls = true
		}
		e.stack = append(e.stack, v)
	}
	if nulls {
		switch fn.OnNull {
		case library.NullFalse:
			return false, nil
		case library.NullZero:
			return int64(0), nil
		default:
			return nil, nil
		}
	}
	v, err := fn.Call(&e.Env, n.prepared, e.stack[base:])
	if err != nil {
		return nil, e.wrap(n.at(), fmt.Errorf("%s: %w", fn.Name, err))
	}
	if s, ok := v.(string); ok && len(s) > value.MaxText {
		return nil, e.wrap(n.at(), fmt.Errorf("%s: the text is longer than %d bytes: %w", fn.Name, value.MaxText, value.ErrLimit))
	}
	return v, nil
}

// choose gives the method for a receiver.
func (n *callNode) choose(receiver any) (*library.Function, error) {
	kind := value.KindOf(receiver)
	if n.overloads == nil {
		if n.fn.Receiver&kind == 0 {
			return nil, fmt.Errorf("%s has no method %s", kind, n.fn.Name)
		}
		return n.fn, nil
	}
	for _, f := range n.overloads {
		if f.Receiver&kind != 0 {
			return f, nil
		}
	}
	return nil, fmt.Errorf("%s has no method %s", kind, n.overloads[0].Name)
}

func (n *callNode) name() string {
	if n.fn != nil {
		return n.fn.Name
	}
	return n.overloads[0].Name
}
