package userinfo

import "github.com/tokenenrich/caddy-token-enrich/enrich/directory"

// PerCaller says that every answer belongs to the token it was asked with.
func (*Directory) PerCaller() bool { return true }

// Interface guard
var _ directory.PerCaller = (*Directory)(nil)
