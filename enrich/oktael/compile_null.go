package oktael

import (
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/library"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// The warning of attributes that may be null in a text, where the language would
// write the word "null".

// warnNull warns where something is put into a text that may be null, because
// an attribute of which it is made may be unset. through is the function
// around it that returns null for null, if there is one.
func (c *compiler) warnNull(s *syntax.Node, through string) {
	switch s.Op {
	case syntax.OpName, syntax.OpProperty, syntax.OpIndex:
		path := s.Path()
		if s.Op == syntax.OpProperty && path == "" && slices.Contains([]syntax.Op{syntax.OpCall, syntax.OpMethod}, s.Kids[0].Op) {
			path = s.Text // of what a function returns, as the manager's
		}
		if path == "" || c.element != 0 || c.known[path] > 0 || alwaysSet[path] {
			return
		}
		if through != "" {
			path += " may be null and with it " + through
		} else {
			path += " may be null"
		}
		c.Warn(s.Offset, "%s, which concatenation writes as \"null\"; give a default with ?: or test it with != null", path)
	case syntax.OpElvis:
		c.warnNull(s.Kids[1], through)
	case syntax.OpTernary:
		for i, outcome := range []bool{true, false} {
			paths := nonNull(s.Kids[0], outcome)
			c.know(paths, 1)
			c.warnNull(s.Kids[1+i], through)
			c.know(paths, -1)
		}
	case syntax.OpCall:
		f, ok := library.Static(s.Text)
		if !ok || f.OnNull != library.NullNull {
			return
		}
		for i, kid := range s.Kids {
			if !f.Param(i).Nullable {
				c.warnNull(kid, f.Name)
			}
		}
	default: // operators never return null
	}
}

// alwaysSet are the attributes that every user or group has.
var alwaysSet = map[string]bool{
	"user.id": true, "user.login": true, "user.profile.login": true, "app.id": true, "group.id": true, "group.name": true,
	"request.method": true, "request.path": true, "request.client_ip": true, "request.host": true,
}
