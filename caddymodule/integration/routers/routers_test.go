package routers

import (
	"slices"
	"strings"
	"testing"
)

// ordinary are paths that nobody may refuse where the policy allows their plain
// meaning.
var ordinary = []string{
	"/public", "/public/", "/public/a", "/public/a.b", "/public/a%20b", "/public/a+b", "/public/~ada", "/public/ada@example.com", "/public/caf%C3%A9", "/public/%E4%BD%A0", "/public/100%25", "/public/a:b,c=d", "/public/a%3Ab", "/public/a%26b", "/public/a%3Fb", "/public/a%23b",
	"/public/group%2Fproject", "/public/a%2fb%2fc", "/public/a%5Cb", "/public/a;v=1", "/public/a;v=1/b", "/public/.well-known/x", "/public/a..b", "/public//a", "/public/a//b", "/public/./a", "/public/a/../b", "/public/%61", "/public/A", "/public/a?x=/admin/../y", "/public/a?x=%2fadmin", "/public/(a)", "/public/a'b", "/public/%7Bid%7D",
}

// guardedPlain are paths that lead an administrator to an area, or to a
// redirection of the application.
var guardedPlain = []string{"/admin/", "/admin/users", "/other/x"}

// sampling is the distance between the spellings that show what an application
// serves without a policy, and fewest how many of them must lead to the area
// for administrators: with fewer, nothing is tried.
const (
	sampling = 10
	fewest   = 5
)

// caller is somebody before a form of policy, and the areas refused to them.
type caller struct {
	form    form
	token   string
	who     string
	refused []string
}

// TestRoutersServeNoMoreThanThePolicyAllows is SECURITY P55 against real
// routers. What a policy lets through does not depend on the application
// behind it, so it is found out once; each application is then sent all of
// that, and must not serve an area by it that the policy refused. What comes
// of an ordinary path is the same with a policy as without.
func TestRoutersServeNoMoreThanThePolicyAllows(t *testing.T) {
	applications := startAll(t)
	g := startGateway(t, append(applications, nowhere))
	targets := hostile()
	callers := g.callers()
	through := g.through(t, callers, targets)
	for _, a := range applications {
		t.Run(a.name, func(t *testing.T) {
			g.wantTried(t, a, targets)
			g.wantGuarded(t, a, callers, through, targets)
			g.wantUnchanged(t, a)
		})
	}
}

// callers are all who are refused something.
func (g *gateway) callers() []caller {
	var all []caller
	for _, f := range forms {
		all = append(all, caller{f, g.token("user"), "a user", f.user}, caller{f, "", "nobody", f.nobody})
	}
	return slices.DeleteFunc(all, func(c caller) bool { return len(c.refused) == 0 })
}

// through tells for each target which callers get it past their policy.
func (g *gateway) through(t *testing.T, callers []caller, targets []string) map[string][]int {
	t.Helper()
	all := map[string][]int{}
	for i, c := range callers {
		n := 0
		for j, r := range g.ask(t, g.host(c.form, nowhere), c.token, targets) {
			if r.area != "" {
				all[targets[j]] = append(all[targets[j]], i)
				n++
			}
		}
		t.Logf("form %s lets %s through by %d of %d spellings", c.form.name, c.who, n, len(targets))
	}
	return all
}

// wantGuarded sends an application what got through: each target once, by the
// first who gets it through, and judged for all of them.
func (g *gateway) wantGuarded(t *testing.T, a application, callers []caller, through map[string][]int, targets []string) {
	t.Helper()
	for i, c := range callers {
		tried := slices.DeleteFunc(slices.Clone(targets), func(p string) bool { return len(through[p]) == 0 || through[p][0] != i })
		for j, r := range g.ask(t, g.host(c.form, a), c.token, tried) {
			for _, k := range through[tried[j]] {
				if slices.Contains(callers[k].refused, r.area) {
					t.Errorf("form %s: %s is served %s by %q", callers[k].form.name, callers[k].who, r.area, tried[j])
				}
			}
		}
	}
}

// wantUnchanged fails the test where a policy changes what comes of an ordinary
// path, or refuses an administrator.
func (g *gateway) wantUnchanged(t *testing.T, a application) {
	t.Helper()
	for role, paths := range map[string][]string{"user": ordinary, admin: slices.Concat(ordinary, guardedPlain)} {
		want := g.ask(t, g.host(open, a), "", paths)
		for _, f := range forms {
			for i, got := range g.ask(t, g.host(f, a), g.token(role), paths) {
				if got != want[i] {
					t.Errorf("form %s, %q: %+v for a %s, want %+v as without a policy", f.name, paths[i], got, role, want[i])
				}
			}
		}
	}
}

// startAll starts every application.
func startAll(t *testing.T) []application {
	t.Helper()
	files := makeFiles(t)
	inGo := startGo(t, files)
	php, fastCGI, root := startPHP(t)
	behind := strings.TrimPrefix(inGo[0].proxy, "reverse_proxy ")
	return slices.Concat(inGo, startNode(t, files), startFlask(t), php, startNginx(t, behind, fastCGI, root), startTomcat(t))
}

// wantTried fails the test where an application reads hardly any spelling as a
// path of the area for administrators.
func (g *gateway) wantTried(t *testing.T, a application, targets []string) {
	t.Helper()
	var some []string
	for i := 0; i < len(targets); i += sampling {
		some = append(some, targets[i])
	}
	served := map[string]int{}
	for _, r := range g.ask(t, g.host(open, a), "", some) {
		served[r.area]++
	}
	t.Logf("of %d spellings without a policy, areas served: %v", len(some), served)
	if served[admin] < fewest {
		t.Errorf("the application serves %d spellings as admin, want %d at least", served[admin], fewest)
	}
}
