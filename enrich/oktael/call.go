package oktael

import (
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/library"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
)

// The node of calls. The arguments are converted here, so that each function sees
// the Go type that its parameter says, and null reaches only those that ask for
// it.

// callNode calls a function, or a method of a value.
type callNode struct {
	position

	// fits are what the call may be: one function, or methods of one name, of
	// which the receiver chooses.
	fits []*library.Function

	// args are the arguments; of a method, the receiver first.
	args []node

	// safe makes the call null where the receiver is.
	safe bool

	// prepared is what the function prepared from literal arguments.
	prepared any
}

// eval puts the arguments onto the evaluation's stack, converted to what the
// parameters want, and calls the function with them.
func (n *callNode) eval(e *evaluation) (any, error) {
	base, fn := len(e.stack), n.fits[0]
	defer func() { e.stack = e.stack[:base] }()
	nulls := false
	for i, arg := range n.args {
		v, err := e.run(arg)
		if err != nil {
			return nil, err
		}
		if i == 0 && fn.Receiver != 0 {
			if v == nil {
				if n.safe {
					return nil, nil
				}
				return nil, e.wrap(n.at(), value.NullError("null has no method %s", fn.Name))
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
		return nil, e.wrap(n.at(), fmt.Errorf("%s: the string is longer than %d bytes: %w", fn.Name, value.MaxText, value.ErrLimit))
	}
	return v, nil
}

// choose returns the method for a receiver.
func (n *callNode) choose(receiver any) (*library.Function, error) {
	kind := value.KindOf(receiver)
	for _, f := range n.fits {
		if f.Receiver&kind != 0 {
			return f, nil
		}
	}
	return nil, fmt.Errorf("%s has no method %s", kind, n.fits[0].Name)
}
