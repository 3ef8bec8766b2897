package issuer

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/enrich/grouplist"
	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// This file fills in the defaults of a configuration and checks it.

// Defaults and bounds of the configuration.
const (
	defaultKeyRefresh     = time.Hour
	defaultKeyMinInterval = 10 * time.Second
	defaultKeyMaxStale    = 24 * time.Hour
	defaultLeeway         = 30 * time.Second
	defaultTimeout        = 5 * time.Second
	defaultIntrospectTTL  = time.Minute

	// maxLeeway bounds the leeway, which is for clocks that differ.
	maxLeeway = 5 * time.Minute
)

// Check returns what is wrong with the configuration in itself, wrapped in errConfig.
// It touches neither network nor files.
func (c Config) Check() error {
	_, err := withDefaults(c)
	return err
}

// withDefaults checks the configuration and returns it with the defaults filled in.
func withDefaults(c Config) (Config, error) {
	fail := func(format string, args ...any) (Config, error) {
		return c, fmt.Errorf("configuring issuer %q: "+format+": %w", append(append([]any{c.Issuer}, args...), errConfig)...)
	}
	if c.Issuer == "" {
		return fail("its URL is missing")
	}
	if c.Name == "" {
		c.Name = hostOf(c.Issuer)
	}
	if named := len(c.Audience) > 0; c.AnyAudience == named && (named || !c.LoginOnly) {
		return fail("either audience or any_audience is required")
	}
	if slices.Contains(c.Audience, "") {
		return fail("an audience is empty")
	}
	if err := enumDefaults(&c); err != nil {
		return fail("%w", err)
	}
	if err := durationDefaults(&c); err != nil {
		return fail("%w", err)
	}
	c.SubjectClaim = cmp.Or(c.SubjectClaim, "sub")
	c.GroupsClaim = cmp.Or(c.GroupsClaim, "groups")
	if err := grouplist.Check(c.GroupsDelimiter); err != nil {
		return fail("groups_delimiter: %w", err)
	}
	if len(c.ClientClaim) == 0 {
		c.ClientClaim = []string{"cid", "azp", "client_id"}
	}
	if len(c.ScopeClaim) == 0 {
		c.ScopeClaim = []string{"scp", "scope"}
	}
	if c.DPoPNonce && c.DPoP == dpopOff {
		return fail("dpop_nonce needs dpop accept or dpop require")
	}
	if err := typeDefaults(&c); err != nil {
		return fail("%w", err)
	}
	if err := algorithmDefaults(&c); err != nil {
		return fail("%w", err)
	}
	if err := validateURLs(&c); err != nil {
		return fail("%w", err)
	}
	if c.Introspect != nil {
		in, err := introspectionDefaults(*c.Introspect)
		if err != nil {
			return fail("introspect: %w", err)
		}
		c.Introspect = &in
	}
	return c, nil
}

// enumDefaults fills in and checks the options that are enums.
func enumDefaults(c *Config) error {
	return errors.Join(
		enumDefault("tokens", &c.Tokens, tokensAccess, tokensID, tokensAny),
		enumDefault("dpop", &c.DPoP, dpopOff, dpopAccept, dpopRequire),
		enumDefault("dpop_replay", &c.DPoPReplay, replayShared, replayLocal),
		enumDefault("mtls", &c.MTLS, mtlsOff, mtlsRequire),
	)
}

// enumDefault fills in and checks an enum. The first of its values is the default.
func enumDefault(option string, value *string, values ...string) error {
	if *value == "" {
		*value = values[0]
	}
	if last := len(values) - 1; !slices.Contains(values, *value) {
		return fmt.Errorf("%s: unknown value %q (want %s or %s)%s", option, *value, strings.Join(values[:last], ", "), values[last], suggest.DidYouMean(*value, values))
	}
	return nil
}

// durationDefaults fills in and checks the durations.
func durationDefaults(c *Config) error {
	configured := *c
	for _, d := range []struct {
		option string
		value  *cache.Duration
		normal time.Duration
	}{
		{"key_refresh", &c.KeyRefresh, defaultKeyRefresh},
		{"key_min_interval", &c.KeyMinInterval, defaultKeyMinInterval},
		{"key_max_stale", &c.KeyMaxStale, defaultKeyMaxStale},
		{"timeout", &c.Timeout, defaultTimeout},
	} {
		*d.value = cmp.Or(*d.value, cache.Duration(d.normal))
		if *d.value < 0 {
			return fmt.Errorf("%s is negative", d.option)
		}
	}
	// A default yields to the option that is configured beside it.
	if configured.KeyMinInterval == 0 {
		c.KeyMinInterval = min(c.KeyMinInterval, c.KeyRefresh)
	}
	if configured.KeyMaxStale == 0 {
		c.KeyMaxStale = max(c.KeyMaxStale, c.KeyRefresh)
	}
	if c.KeyMinInterval > c.KeyRefresh {
		return errors.New("key_min_interval is longer than key_refresh")
	}
	if c.KeyMaxStale < c.KeyRefresh {
		return errors.New("key_max_stale is shorter than key_refresh")
	}
	if c.Leeway == nil {
		leeway := cache.Duration(defaultLeeway)
		c.Leeway = &leeway
	}
	if *c.Leeway < 0 || *c.Leeway > cache.Duration(maxLeeway) {
		return fmt.Errorf("leeway is not between 0 and %s", maxLeeway)
	}
	return nil
}

// typeDefaults fills in and checks the typ values, and normalizes them.
func typeDefaults(c *Config) error {
	if len(c.Types) == 0 {
		c.Types = []string{"at+jwt", "JWT", noType}
	}
	types := make([]string, len(c.Types))
	for n, t := range c.Types {
		types[n] = jose.NormalizeType(t)
		if what, ok := neverTypes[types[n]]; ok {
			return fmt.Errorf("types lists %q, which names %s", t, what)
		}
		if types[n] == "" {
			return errors.New("types has an empty entry (write none for tokens without typ)")
		}
	}
	c.Types = types
	return nil
}

// algorithmDefaults fills in and checks the algorithms. Public keys and secrets never
// meet in one issuer: with a public key taken for a secret, all could sign (RFC
// 8725, section 2.1).
func algorithmDefaults(c *Config) error {
	if len(c.Algorithms) == 0 {
		c.Algorithms = jose.PublicKeyAlgorithmNames()
		return nil
	}
	symmetric := 0
	for _, name := range c.Algorithms {
		a := jose.LookupAlgorithm(name)
		if a == nil {
			return fmt.Errorf("algorithm %q is not supported%s", name, suggest.DidYouMean(name, jose.AlgorithmNames()))
		}
		if a.Symmetric() {
			symmetric++
		}
	}
	if symmetric == 0 {
		return nil
	}
	if symmetric < len(c.Algorithms) {
		return errors.New("algorithms lists HMACs beside public-key ones")
	}
	if c.JWKSFile == "" {
		return errors.New("HMAC algorithms need jwks_file: their key is a secret")
	}
	return nil
}

// validateURLs checks where the keys come from and how the site is reached.
func validateURLs(c *Config) error {
	count := 0
	for _, place := range []string{c.DiscoveryURL, c.JWKSURL, c.JWKSFile} {
		if place != "" {
			count++
		}
	}
	if count > 1 {
		return errors.New("discovery_url, jwks_url and jwks_file cannot be combined")
	}
	for option, place := range map[string]string{"discovery_url": c.DiscoveryURL, "jwks_url": c.JWKSURL} {
		if place == "" {
			continue
		}
		if _, err := checkURL(place); err != nil {
			return fmt.Errorf("%s: %w", option, err)
		}
	}
	if count == 0 {
		u, err := checkURL(c.Issuer)
		if err == nil && (u.RawQuery != "" || u.ForceQuery) {
			err = errors.New("an issuer with metadata must not have a query") // OpenID Connect Discovery, section 3; RFC 8414, section 2
		}
		if err != nil {
			return fmt.Errorf("discovering from the identifier: %w", err)
		}
	}
	if c.ExternalURL != "" {
		u, err := url.Parse(c.ExternalURL)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			return errors.New("external_url is not an absolute http or https URL without query")
		}
	}
	return nil
}

// introspectionDefaults fills in and checks the options of introspect.
func introspectionDefaults(in Introspection) (Introspection, error) {
	if _, err := checkURL(in.URL); err != nil {
		return in, fmt.Errorf("url: %w", err)
	}
	if in.ClientID == "" {
		return in, errors.New("client_id is missing")
	}
	if (in.ClientSecret == "") == (in.PrivateKey == "") {
		return in, errors.New("either client_secret or private_key is required")
	}
	methods := []string{authBasic, authPost, authKey}
	if in.PrivateKey != "" {
		methods = []string{authKey, authBasic, authPost}
	}
	if err := enumDefault("auth_method", &in.AuthMethod, methods...); err != nil {
		return in, err
	}
	if in.AuthMethod == authKey && in.PrivateKey == "" {
		return in, fmt.Errorf("auth_method %s needs private_key", in.AuthMethod)
	}
	if in.AuthMethod != authKey && in.ClientSecret == "" {
		return in, fmt.Errorf("auth_method %s needs client_secret", in.AuthMethod)
	}
	if err := enumDefault("when", &in.When, whenOpaque, whenAlways); err != nil {
		return in, err
	}
	in.TTL = cmp.Or(in.TTL, cache.Duration(defaultIntrospectTTL))
	if in.TTL < 0 {
		return in, errors.New("ttl is negative")
	}
	return in, nil
}

// ResolveNames fills in the names that the configurations omit: the host of the
// identifier, with its path if two share the host. Equal names are an error that
// wraps errConfig.
func ResolveNames(configs []*Config) error {
	hosts := make(map[string]int)
	for _, c := range configs {
		hosts[hostOf(c.Issuer)]++
	}
	taken := make(map[string]bool)
	for _, c := range configs {
		if c.Name == "" {
			c.Name = hostOf(c.Issuer)
			if u, err := url.Parse(c.Issuer); err == nil && u.Host != "" && hosts[c.Name] > 1 {
				c.Name += strings.TrimSuffix(u.Path, "/")
			}
		}
		if taken[c.Name] {
			return fmt.Errorf("two issuers are named %q: %w", c.Name, errConfig)
		}
		taken[c.Name] = true
	}
	return nil
}

// CheckAllowed returns why a policy cannot allow the issuers of these names together;
// nil allowed means all. Configs must have their names (see ResolveNames). Each
// name must exist, no two issuers may have the same identifier, and at most one may
// introspect, because an opaque token does not say which one to ask.
func CheckAllowed(configs []*Config, allowed []string) error {
	names := make([]string, len(configs))
	for n, c := range configs {
		names[n] = c.Name
	}
	for _, name := range allowed {
		if !slices.Contains(names, name) {
			return fmt.Errorf("no issuer is named %q%s", name, suggest.DidYouMean(name, names))
		}
	}
	var list []*Config
	for _, c := range configs {
		if allowed != nil && !slices.Contains(allowed, c.Name) {
			continue
		}
		for _, other := range list {
			switch {
			case c.Issuer == other.Issuer:
				return fmt.Errorf("issuers %q and %q have the same identifier", other.Name, c.Name)
			case c.Introspect != nil && other.Introspect != nil:
				return fmt.Errorf("issuers %q and %q both introspect, and an opaque token does not say whose it is", other.Name, c.Name)
			}
		}
		list = append(list, c)
	}
	return nil
}

// hostOf returns the host of an identifier, or the identifier itself if it is not a
// URL.
func hostOf(identifier string) string {
	if u, err := url.Parse(identifier); err == nil && u.Host != "" {
		return u.Host
	}
	return identifier
}
