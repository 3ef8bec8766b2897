package endpoints

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/internal/telemetry"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/setting"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

const (
	// maxLogoutBody bounds a logout request, in bytes: a token of at most 16 KiB,
	// and other values of the form.
	maxLogoutBody = 64 << 10

	// logoutMemory is how long a logout token's jti is remembered: from the
	// earliest moment at which it is accepted (an iat five minutes ahead) to the
	// latest (five minutes after it, and the largest leeway), with a margin.
	logoutMemory = 20 * time.Minute
)

// errLogoutReplayed means that a logout token has been used before.
var errLogoutReplayed = errors.New("the logout token was used before")

// logout handles the logout tokens of one issuer (OpenID Connect Back-Channel
// Logout 1.0, sections 2.5 to 2.8).
type logout struct {
	app      *caddymodule.App
	issuer   *issuer.Issuer
	audience []string // nil: the issuer's own
	logger   *zap.Logger

	mu sync.Mutex
	// underWay holds the tokens that are being handled, so that one that is sent
	// twice at the same time is refused once.
	underWay map[purgelog.NameHash]struct{}
}

// newLogout checks the settings of this kind of hook and returns its handler.
func (h *Hook) newLogout() (func(http.ResponseWriter, *http.Request) error, error) {
	n, err := h.sendingIssuer(h.app.IssuerConfigs())
	if err != nil {
		return nil, err
	}
	l := &logout{app: h.app, issuer: h.app.IssuerSet().Issuers()[n], logger: h.logger, audience: h.Audience, underWay: make(map[purgelog.NameHash]struct{})}
	if client := h.app.LoginClient(h.Issuer); client != "" && len(h.Audience) == 0 {
		l.audience = append(slices.Clone(h.app.IssuerConfigs()[n].Audience), client)
	}
	h.app.ExpectDenials()
	return l.take, nil
}

// sendingIssuer returns the index of the issuer that sends, and checks that the
// audience of its logout tokens is known. Its error says which setting it is
// about.
func (h *Hook) sendingIssuer(issuers []*issuer.Config) (n int, err error) {
	if h.Issuer == "" {
		return 0, setting.Wrap(errors.New("issuer is missing: the configured name of the issuer that sends logout tokens"), "issuer")
	}
	names := make([]string, len(issuers))
	for i, c := range issuers {
		names[i] = c.Name
	}
	n = slices.Index(names, h.Issuer)
	if n < 0 {
		return 0, setting.Wrap(fmt.Errorf("no issuer is named %q%s", h.Issuer, suggest.DidYouMean(h.Issuer, names)), "issuer")
	}
	if issuers[n].AnyAudience && !issuers[n].LoginOnly && len(h.Audience) == 0 {
		return 0, setting.Wrap(fmt.Errorf("issuer %q has any_audience, so audience is required: the client id in logout tokens", h.Issuer), "issuer")
	}
	return n, nil
}

// take answers one logout request. Where a token cannot be verified at the moment,
// the answer is 503, so that the provider can distinguish it from a refused token.
func (l *logout) take(w http.ResponseWriter, r *http.Request) error {
	raw, err := logoutToken(r)
	if err != nil {
		l.logUnauthenticated(zapcore.InfoLevel, "logout request refused", err)
		return refuseHook(w, "The request contains no logout token.")
	}
	err = l.logOut(r.Context(), raw)
	switch {
	case errors.Is(err, issuer.ErrInvalidToken), errors.Is(err, errLogoutReplayed):
		l.logUnauthenticated(zapcore.InfoLevel, "logout token refused", err)
		return refuseHook(w, "The logout token is not valid.")
	case err != nil:
		l.logUnauthenticated(zapcore.ErrorLevel, "logout failed", err)
		refusal := enrich.Unavailable(err)
		w.Header().Set("Retry-After", strconv.Itoa(int(refusal.RetryAfter/time.Second)))
		return caddyhttp.Error(refusal.Kind.Status(), refusal)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// logUnauthenticated writes a line that any unauthenticated client can cause. The
// lines are sampled.
func (l *logout) logUnauthenticated(level zapcore.Level, line string, err error) {
	if c := l.app.LogSampler().Check(l.logger, level, line, "", telemetry.ReasonLogout); c != nil {
		c.Write(zap.String("issuer", l.issuer.Name()), zap.Error(err))
	}
}

// logoutToken reads the one logout token of a form body. Other values of the form
// are ignored (section 2.5), and so is the query.
func logoutToken(r *http.Request) (string, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return "", errors.New("the body is not a form")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxLogoutBody+1))
	if err != nil {
		return "", errors.New("the body cannot be read")
	}
	if len(body) > maxLogoutBody {
		return "", errors.New("the body is too large")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", errors.New("the body is not a form")
	}
	values := form["logout_token"]
	if len(values) != 1 || values[0] == "" {
		return "", errors.New("the form must contain exactly one logout_token")
	}
	return values[0], nil
}

// logOut verifies a logout token and denies what it names: the session, or else the
// tokens that the subject was issued before it. The error is issuer.ErrInvalidToken,
// errLogoutReplayed, or the reason why neither can be found out now.
func (l *logout) logOut(ctx context.Context, raw string) error {
	out, err := l.issuer.VerifyLogout(ctx, raw, l.audience)
	if err != nil {
		return err
	}
	store, err := l.app.Store(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	keyer, id := store.KeyDeriver(), l.issuer.Identifier()
	used := purgelog.Record{Name: keyer.DenialHash(id, caddymodule.DenyLogout, out.ID), Until: now.Add(logoutMemory), Claim: caddymodule.DenyLogout}
	if !l.begin(store, used.Name, now) {
		return errLogoutReplayed
	}
	defer l.end(used.Name)

	denial := purgelog.Record{Until: now.Add(caddymodule.DefaultDenyFor), Claim: enrich.DenySession, Reason: "back-channel logout"}
	if out.SessionID != "" {
		denial.Name = keyer.DenialHash(id, enrich.DenySession, out.SessionID)
	} else {
		denial.Claim = enrich.DenyUser
		// The issuer dates logout tokens and access tokens by one clock, so that
		// its iat separates earlier tokens from a later login, whatever the
		// clock of this machine says.
		denial.Name = keyer.DenialHash(id, enrich.DenyUser, out.Subject)
		denial.IssuedBefore = issuedAt(raw, now)
	}
	// In one call, the denial first: a token whose denial found no room can be
	// sent again.
	entries, reach, err := store.Log().Deny(ctx, denial, used)
	if err != nil && !errors.Is(err, cache.ErrUnavailable) {
		return fmt.Errorf("denying: %w", err)
	}
	// Where Redis cannot be reached, the denial is effective here at once, and on
	// other nodes as soon as the record arrives there.
	e := entries[0]
	l.logger.Info("logged out", zap.String("issuer", l.issuer.Name()), zap.String("entry", e.ID()), zap.String("kind", caddymodule.DenialKind(e)),
		zap.Time("until", e.Until.UTC()), zap.String("nodes", caddymodule.Propagation(reach)))
	return nil
}

// begin reports whether a logout token is used for the first time. The deny list
// remembers its jti, because that list is bounded and on every node.
func (l *logout) begin(store *cache.Store, name purgelog.NameHash, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.underWay[name]; ok || store.Denials().Denied(now, time.Time{}, name) {
		return false
	}
	l.underWay[name] = struct{}{}
	return true
}

// end marks a token as no longer being handled.
func (l *logout) end(name purgelog.NameHash) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.underWay, name)
}

// issuedAt returns the iat of a token that has been verified, and now where it has
// none, which denies more.
func issuedAt(raw string, now time.Time) time.Time {
	_, rest, _ := strings.Cut(raw, ".")
	payload, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	var claims map[string]json.RawMessage
	var seconds float64
	if err != nil || json.Unmarshal(text, &claims) != nil || json.Unmarshal(claims["iat"], &seconds) != nil {
		return now
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*float64(time.Second)))
}
