package issuer

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// This file checks DPoP proofs (RFC 9449).

const (
	// maxProof bounds a proof, in bytes. One with an RSA key has some 1.5 KiB.
	maxProof = 8 << 10
	// maxProofID bounds the jti of a proof, in bytes. RFC 9449, section 4.2
	// asks for 96 random bits.
	maxProofID = 256
	// proofAge is how old a proof may be, the leeway not counted. It is made
	// for one request, and RFC 9449, section 11.1 speaks of seconds or minutes.
	proofAge = time.Minute
)

// A dpopCheck checks the proofs for the tokens of one issuer.
type dpopCheck struct {
	clock    func() time.Time
	leeway   time.Duration
	external string // external_url; empty for what Caddy saw
	nonces   bool   // proofs need a nonce of the gateway
	replay   replayGuard
	own      nonceKey // where the gateway has no ProofMemory
}

func newDPoPCheck(c Config, o Options) (*dpopCheck, error) {
	d := &dpopCheck{
		clock: o.Clock, leeway: time.Duration(*c.Leeway), external: strings.TrimSuffix(c.ExternalURL, "/"), nonces: c.DPoPNonce,
		replay: newReplayGuard(c.DPoPReplay, o),
	}
	if _, err := io.ReadFull(o.Rand, d.own[:]); err != nil {
		return nil, fmt.Errorf("reading randomness: %w", err)
	}
	return d, nil
}

// proofAlgorithms returns the algorithms that a proof may be signed with, separated
// by spaces as in the parameter algs (RFC 9449, section 7.1).
func proofAlgorithms() string {
	return strings.Join(jose.PublicKeyAlgorithmNames(), " ")
}

// check makes the checks of RFC 9449, section 4.3, numbered as there. Cheap checks
// come first, and the memory of used proofs last: only a proof that is valid
// otherwise costs an entry. Errors wrap errProof, errReplay, errSender or
// errReplayMemory, or are a NonceError.
func (d *dpopCheck) check(ctx context.Context, caller *Caller, thumbprint string) error {
	// 1. No more than one DPoP header field; without one there is no proof.
	switch len(caller.Proofs) {
	case 0:
		return fmt.Errorf("bound to a DPoP key, but sent without a proof: %w", errSender)
	case 1:
	default:
		return fmt.Errorf("more than one DPoP header field: %w", errProof)
	}
	// 2. A single well-formed JWT.
	t, err := jose.Parse(caller.Proofs[0], maxProof, nil)
	if err != nil {
		return fmt.Errorf("form: %s: %w", err.Error(), errProof)
	}
	// 4. typ is dpop+jwt.
	if t.Header.Type != "dpop+jwt" {
		return fmt.Errorf("typ: %w", errProof)
	}
	// 5. An asymmetric algorithm that is supported.
	if t.Header.Algorithm == nil || t.Header.Algorithm.Symmetric() {
		return fmt.Errorf("alg: %w", errProof)
	}
	// 7. The key in the header is public, and of the algorithm's kind.
	k := proofKey(t.Members)
	if k == nil || !k.Fits(t.Header.Algorithm) {
		return fmt.Errorf("jwk: %w", errProof)
	}
	id, err := d.checkClaims(&t, caller)
	if err != nil {
		return err
	}
	// 12b. The key is the one that the token is bound to.
	print, err := k.Thumbprint()
	if err != nil {
		return fmt.Errorf("thumbprint: %w", errProof)
	}
	if subtle.ConstantTimeCompare([]byte(print), []byte(thumbprint)) != 1 {
		return fmt.Errorf("the token is bound to another key: %w", errProof)
	}
	// 6. The signature verifies with that key.
	if !t.VerifiedBy(k) {
		return fmt.Errorf("signature: %w", errProof)
	}
	// Section 11.1: each proof is used once.
	var used ReplayMemory
	if caller.Memory != nil {
		used = caller.Memory.Used
	}
	return d.replay.use(ctx, used, replayKey(thumbprint, id), d.window())
}

// checkClaims makes the checks of what the proof says, and returns its jti.
func (d *dpopCheck) checkClaims(t *jose.JWS, caller *Caller) (string, error) {
	claims, err := jose.DecodeObject(t.Payload)
	if err != nil {
		return "", fmt.Errorf("claims: %s: %w", err.Error(), errProof)
	}
	// 3. All required claims.
	text := func(name string) string { s, _ := claims[name].(string); return s }
	id, method, target, hash := text("jti"), text("htm"), text("htu"), text("ath")
	if id == "" || len(id) > maxProofID || method == "" || target == "" || hash == "" {
		return "", fmt.Errorf("jti, htm, htu or ath is missing or too long: %w", errProof)
	}
	issued, err := readDate(claims, "iat")
	if err != nil || issued.IsZero() {
		return "", fmt.Errorf("iat is missing or not a date: %w", errProof)
	}
	// 8. htm is the method of this request.
	if method != caller.Method {
		return "", fmt.Errorf("htm: %w", errProof)
	}
	// 9. htu is the URI of this request, without query and fragment.
	want, ok := normalURI(d.requestURI(caller))
	got, valid := normalURI(target)
	if !ok || !valid || got != want {
		return "", fmt.Errorf("htu: %w", errProof)
	}
	// 10. The nonce is one of the gateway's, where it demands one.
	now := d.clock()
	if key := d.nonceKey(caller); d.nonces && !key.valid(text("nonce"), now) {
		return "", &NonceError{Nonce: key.issue(now)}
	}
	// 11. iat is within the window.
	if age := now.Sub(issued); age >= proofAge+d.leeway || age < -d.leeway {
		return "", fmt.Errorf("iat is outside of its window: %w", errProof)
	}
	// 12a. ath is the hash of this token.
	sum := sha256.Sum256([]byte(caller.Token))
	if subtle.ConstantTimeCompare([]byte(hash), []byte(base64.RawURLEncoding.EncodeToString(sum[:]))) != 1 {
		return "", fmt.Errorf("ath: %w", errProof)
	}
	return id, nil
}

// window is how long a proof can be accepted, counted from an iat that is ahead by
// the leeway, and so how long it must be remembered.
func (d *dpopCheck) window() time.Duration { return proofAge + 2*d.leeway }

// nonceKey returns the key of the gateway that was called.
func (d *dpopCheck) nonceKey(c *Caller) *nonceKey {
	if c.Memory == nil {
		return &d.own
	}
	return (*nonceKey)(&c.Memory.NonceKey)
}

// requestURI returns the URI under which the client reached the site.
func (d *dpopCheck) requestURI(c *Caller) string {
	if d.external != "" {
		return d.external + c.Path
	}
	return c.URLScheme + "://" + c.Host + c.Path
}

// proofKey returns the key in a proof's header, or nil where it cannot be one.
// It passes the same checks as a published key: private members, secrets, weak
// keys and keys for another use are refused.
func proofKey(members map[string]any) *jose.Key {
	jwk, ok := members["jwk"].(map[string]any)
	if !ok {
		return nil
	}
	text, err := json.Marshal(jwk)
	if err != nil {
		return nil
	}
	k, err := jose.ParseKey(text)
	if err != nil || k.Symmetric() {
		return nil
	}
	return k
}

// replayKey returns the name of a proof in the memory of used ones. It follows from
// the key and the jti, not from the text, of which one proof can have several.
// Each part is written with its length, so that no two proofs share a name.
func replayKey(thumbprint, id string) [32]byte {
	b := make([]byte, 0, 64+len(thumbprint)+len(id))
	for _, part := range []string{"dpop", thumbprint, id} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	return sha256.Sum256(b)
}
