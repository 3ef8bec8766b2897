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

const (
	// maxProof bounds a proof; one with an RSA key has some 1.5 KiB.
	maxProof = 8 << 10
	// maxProofID bounds a proof's jti, of which the memory of used proofs
	// holds only a hash. RFC 9449, section 4.2 asks for 96 random bits.
	maxProofID = 256
	// proofAge is how old a proof may be beside the leeway: it is made for
	// one request (RFC 9449, section 11.1: seconds or minutes).
	proofAge = time.Minute
)

// A dpopCheck checks the proofs for one issuer's tokens.
type dpopCheck struct {
	clock    func() time.Time
	leeway   time.Duration
	external string // scheme, host and path in front; empty: as Caddy saw
	nonces   bool   // demand one of the gateway's
	replay   replayGuard
	own      nonceKey // for callers of a gateway that has none
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

// proofAlgorithms lists what a proof may be signed with.
func proofAlgorithms() string {
	return strings.Join(jose.PublicKeyAlgorithmNames(), " ")
}

// check makes the checks of RFC 9449, section 4.3, numbered as there. What
// costs little comes first, the memory of used proofs last.
func (d *dpopCheck) check(ctx context.Context, caller *Caller, thumbprint string) error {
	// 1. No more than one DPoP header field; without one there is no proof.
	switch len(caller.Proofs) {
	case 0:
		return fmt.Errorf("bound to a DPoP key, and sent without a proof: %w", ErrSender)
	case 1:
	default:
		return fmt.Errorf("more than one DPoP header field: %w", ErrProof)
	}
	// 2. A single well-formed JWT.
	t, err := jose.Parse(caller.Proofs[0], maxProof, nil)
	if err != nil {
		return fmt.Errorf("form: %s: %w", err.Error(), ErrProof)
	}
	// 4. typ is dpop+jwt.
	if t.Header.Type != "dpop+jwt" {
		return fmt.Errorf("typ: %w", ErrProof)
	}
	// 5. An asymmetric algorithm that is supported.
	if t.Header.Algorithm == nil || t.Header.Algorithm.Symmetric() {
		return fmt.Errorf("alg: %w", ErrProof)
	}
	// 7. The key in the header is public, and of the algorithm's kind.
	k := proofKey(t.Members)
	if k == nil || !k.Fits(t.Header.Algorithm) {
		return fmt.Errorf("jwk: %w", ErrProof)
	}
	id, err := d.checkClaims(&t, caller)
	if err != nil {
		return err
	}
	// 12b. The key is the one that the token is bound to.
	print, err := k.Thumbprint()
	if err != nil {
		return fmt.Errorf("thumbprint: %w", ErrProof)
	}
	if subtle.ConstantTimeCompare([]byte(print), []byte(thumbprint)) != 1 {
		return fmt.Errorf("the token is bound to another key: %w", ErrProof)
	}
	// 6. The signature verifies with that key.
	if !t.VerifiedBy(k) {
		return fmt.Errorf("signature: %w", ErrProof)
	}
	// Section 11.1: each proof is used once.
	var used ReplayMemory
	if caller.Memory != nil {
		used = caller.Memory.Used
	}
	return d.replay.use(ctx, used, replayKey(thumbprint, id), d.window())
}

// checkClaims makes the checks of what the proof says and gives its jti.
func (d *dpopCheck) checkClaims(t *jose.JWS, caller *Caller) (string, error) {
	claims, err := jose.DecodeObject(t.Payload)
	if err != nil {
		return "", fmt.Errorf("claims: %s: %w", err.Error(), ErrProof)
	}
	// 3. All required claims.
	text := func(name string) string { s, _ := claims[name].(string); return s }
	id, method, target, hash := text("jti"), text("htm"), text("htu"), text("ath")
	if id == "" || len(id) > maxProofID || method == "" || target == "" || hash == "" {
		return "", fmt.Errorf("jti, htm, htu or ath is missing or too long: %w", ErrProof)
	}
	issued, err := readDate(claims, "iat")
	if err != nil || issued.IsZero() {
		return "", fmt.Errorf("iat is missing or no date: %w", ErrProof)
	}
	// 8. htm is the method of this request.
	if method != caller.Method {
		return "", fmt.Errorf("htm: %w", ErrProof)
	}
	// 9. htu is the URI of this request, without query and fragment.
	want, ok := normalURI(d.requestURI(caller))
	got, valid := normalURI(target)
	if !ok || !valid || got != want {
		return "", fmt.Errorf("htu: %w", ErrProof)
	}
	// 10. The nonce is one of ours, where we ask for one.
	now := d.clock()
	if key := d.nonceKey(caller); d.nonces && !key.valid(text("nonce"), now) {
		return "", &NonceError{Nonce: key.issue(now)}
	}
	// 11. iat is within the window.
	if age := now.Sub(issued); age >= proofAge+d.leeway || age < -d.leeway {
		return "", fmt.Errorf("iat is outside of its window: %w", ErrProof)
	}
	// 12a. ath is the hash of this token.
	sum := sha256.Sum256([]byte(caller.Token))
	if subtle.ConstantTimeCompare([]byte(hash), []byte(base64.RawURLEncoding.EncodeToString(sum[:]))) != 1 {
		return "", fmt.Errorf("ath: %w", ErrProof)
	}
	return id, nil
}

// window is how long a proof can be accepted at all, and so how long it must
// be remembered: from an iat that is ahead by the leeway.
func (d *dpopCheck) window() time.Duration { return proofAge + 2*d.leeway }

func (d *dpopCheck) nonceKey(c *Caller) *nonceKey {
	if c.Memory == nil {
		return &d.own
	}
	return (*nonceKey)(&c.Memory.NonceKey)
}

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

// replayKey names a proof in the memory of used ones: by the key and the
// jti, never by its text, which can be written in more than one way.
func replayKey(thumbprint, id string) [32]byte {
	b := make([]byte, 0, 64+len(thumbprint)+len(id))
	for _, part := range []string{"dpop", thumbprint, id} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	return sha256.Sum256(b)
}
