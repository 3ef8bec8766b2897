package oktael

import "slices"

// warnNull warns where something is put into a text that may be null, because
// an attribute of which it is made may be unset. through is the function
// around it that gives null for null, if there is one.
func (c *compiler) warnNull(s *syntaxNode, through string) {
	switch s.op {
	case opName, opProperty, opIndex:
		path := s.path()
		if s.op == opProperty && path == "" && slices.Contains([]op{opCall, opMethod}, s.kids[0].op) {
			path = s.text // of what a function gives, as the manager's
		}
		if path == "" || c.element != 0 || c.known[path] > 0 || alwaysSet[path] {
			return
		}
		if through != "" {
			path += " may be null and with it " + through
		} else {
			path += " may be null"
		}
		c.Warn(s.offset, "%s, which concatenation writes as \"null\"; give a default with ?: or test it with != null", path)
	case opElvis:
		c.warnNull(s.kids[1], through)
	case opTernary:
		for i, outcome := range []bool{true, false} {
			paths := nonNull(s.kids[0], outcome)
			c.know(paths, 1)
			c.warnNull(s.kids[1+i], through)
			c.know(paths, -1)
		}
	case opCall:
		f, ok := staticFunction(s.text)
		if !ok || f.onNull != nullNull {
			return
		}
		for i, kid := range s.kids {
			if !f.param(i).nullable {
				c.warnNull(kid, f.name)
			}
		}
	default: // operators give no null
	}
}

// alwaysSet are the attributes that every user or group has.
var alwaysSet = map[string]bool{
	"user.id": true, "user.login": true, "user.profile.login": true, "app.id": true, "group.id": true, "group.name": true,
	"request.method": true, "request.path": true, "request.client_ip": true, "request.host": true,
}
