package oktael_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// ada is a user with two groups, as a directory would return her.
func ada() *oktael.Context {
	return &oktael.Context{
		User: &identity.User{
			ID: "00u1", Login: "ada@example.com", Status: "ACTIVE",
			Profile: map[string]any{"email": "ada@example.com", "firstName": "Ada", "department": "Research"},
		},
		Groups: []identity.Group{
			{ID: "00g1", Name: "Everyone", Type: identity.GroupTypeBuiltIn},
			{ID: "00g2", Name: "Research Users", Type: identity.GroupTypeOkta},
		},
		GroupsKnown: true,
		Now:         func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
	}
}

// An expression is compiled once and evaluated for each user.
func Example() {
	program, err := oktael.Compile(
		`user.department == "Research" ? String.toUpperCase(user.firstName) : user.email`,
		oktael.Options{Inputs: oktael.InputUser},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	value, err := program.Eval(ada())
	fmt.Println(value, err)
	// Output: ADA <nil>
}

// An Error has the position of the fault and shows it in the source.
func ExampleCompile_error() {
	_, err := oktael.Compile(`user.email + String.lenn(user.email)`, oktael.Options{Inputs: oktael.AllInputs})
	if fault, ok := errors.AsType[*oktael.Error](err); ok {
		fmt.Println(fault)
		fmt.Println(fault.Caret())
	}
	// Output:
	// 1:14: unknown function String.lenn (did you mean "String.len"?)
	// user.email + String.lenn(user.email)
	//              ^
}

// An expression that may read the user alone cannot ask for the request.
func ExampleOptions_inputs() {
	_, err := oktael.Compile(`request.host`, oktael.Options{Inputs: oktael.InputUser | oktael.InputGroups})
	fmt.Println(err)
	// Output: 1:1: "request" is not available here
}

// Reads says what has to be in the context, before anything is fetched.
func ExampleProgram_Reads() {
	program, err := oktael.Compile(`getFilteredGroups(app.profile.allowed, "group.name", 40)`, oktael.Options{Inputs: oktael.AllInputs})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(program.Reads())
	fmt.Println(program.Members("app"))
	// Output:
	// groups, app
	// [profile profile.allowed]
}

// Groups that are unknown are an error: not knowing them is not having none.
func ExampleProgram_Eval_unknownGroups() {
	program, err := oktael.Compile(`isMemberOfGroupName("Research Users")`, oktael.Options{Inputs: oktael.InputGroups})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(program.Eval(ada()))
	_, err = program.Eval(&oktael.Context{GroupsUnknown: "the directory is down"})
	fmt.Println(errors.Is(err, oktael.ErrGroupsUnknown))
	fmt.Println(err)
	// Output:
	// true <nil>
	// true
	// 1:1: isMemberOfGroupName: the user's groups are unknown: the directory is down
}

// EvalBool evaluates a condition, which Options.Result makes sure of when it is
// compiled.
func ExampleProgram_EvalBool() {
	program, err := oktael.Compile(
		`user.status == "ACTIVE" AND user.isMemberOf({'group.profile.name': 'Research'})`,
		oktael.Options{Inputs: oktael.InputUser | oktael.InputGroups, Result: oktael.ResultBool},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(program.EvalBool(ada()))
	// Output: true <nil>
}

// An EvalError has the position of what failed and no value of the user.
func ExampleEvalError() {
	program, err := oktael.Compile(`user.manager.email`, oktael.Options{Inputs: oktael.InputUser})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = program.Eval(ada())
	if fault, ok := errors.AsType[*oktael.EvalError](err); ok {
		fmt.Println(fault)
		fmt.Println(fault.Caret())
		fmt.Println(errors.Is(err, oktael.ErrNull))
	}
	// Output:
	// 1:14: null has no property email
	// user.manager.email
	//              ^
	// true
}

// Warnings name what is allowed and probably not meant.
func ExampleProgram_Warnings() {
	program, err := oktael.Compile(`"Dr. " + user.lastName`, oktael.Options{Inputs: oktael.InputUser})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, w := range program.Warnings() {
		fmt.Println(w)
	}
	// Output: 1:15: user.lastName may be null, which concatenation writes as "null"; give a default with ?: or test it with != null
}

// DecodeContext reads a context from JSON.
func ExampleDecodeContext() {
	context, err := oktael.DecodeContext([]byte(`{
		"user": {"id": "00u1", "profile": {"email": "ada@example.com"}},
		"groups": [{"id": "00g2", "profile": {"name": "Research Users"}}]
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	program, err := oktael.Compile(`groups.![name]`, oktael.Options{Inputs: oktael.InputGroups})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(program.Eval(context))
	// Output: [Research Users] <nil>
}

// The dialect decides which functions there are and how a user's fields are
// read.
func ExampleParseDialect() {
	dialect, err := oktael.ParseDialect("identity_engine")
	if err != nil {
		fmt.Println(err)
		return
	}
	program, err := oktael.Compile(
		`user.profile.email.substringBefore("@") + "/" + DateTime.now().toString("yyyy")`,
		oktael.Options{Dialect: dialect, Inputs: oktael.InputUser | oktael.InputClock},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(program.Eval(ada()))
	// Output: ada/2026 <nil>
}
