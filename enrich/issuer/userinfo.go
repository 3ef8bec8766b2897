package issuer

import "context"

// VerifyUserinfo verifies a userinfo answer that this issuer signed (OpenID
// Connect Core, section 5.3.2) and gives its claims. Signature, algorithm, type
// and iss are checked; whose answer it is, for which client and until when, is
// for who asked to judge. Errors are as those of Set.Verify.
func (i *Issuer) VerifyUserinfo(ctx context.Context, raw string) (map[string]any, error) {
	return i.verifyStatement(ctx, raw, maxBody, "userinfo+jwt")
}
