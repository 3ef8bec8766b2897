package mint

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
)

func TestSigningSettingsAreChecked(t *testing.T) {
	good := Config{Issuer: testIssuer}
	for name, c := range map[string]struct {
		change func(*Config)
		ok     bool
	}{
		"defaults":             {func(*Config) {}, true},
		"loopback without TLS": {func(c *Config) { c.Issuer = "http://127.0.0.1:8080" }, true},
		"IPv6 loopback":        {func(c *Config) { c.Issuer = "http://[::1]:8080/x" }, true},
		"short times": {func(c *Config) {
			c.Rotate, c.RotateOverlap = cache.Duration(3*time.Second), cache.Duration(time.Second)
		}, true},
		"no issuer":                     {func(c *Config) { c.Issuer = "" }, false},
		"issuer without TLS":            {func(c *Config) { c.Issuer = "http://gateway.example.com" }, false},
		"issuer without host":           {func(c *Config) { c.Issuer = "https:///x" }, false},
		"issuer with query":             {func(c *Config) { c.Issuer += "?a" }, false},
		"issuer with empty query":       {func(c *Config) { c.Issuer += "?" }, false},
		"issuer with fragment":          {func(c *Config) { c.Issuer += "#a" }, false},
		"issuer with password":          {func(c *Config) { c.Issuer = "https://u:p@gateway.example.com" }, false},
		"issuer that is no URL":         {func(c *Config) { c.Issuer = "gateway" }, false},
		"no signature":                  {func(c *Config) { c.Algorithm = "none" }, false},
		"symmetric":                     {func(c *Config) { c.Algorithm = "HS256" }, false},
		"another spelling":              {func(c *Config) { c.Algorithm = "es256" }, false},
		"overlap as long as the period": {func(c *Config) { c.RotateOverlap = cache.Duration(defaultRotate) }, false},
		"overlap under a second":        {func(c *Config) { c.RotateOverlap = cache.Duration(time.Millisecond) }, false},
		"negative overlap":              {func(c *Config) { c.RotateOverlap = cache.Duration(-time.Hour) }, false},
		"negative period":               {func(c *Config) { c.Rotate = cache.Duration(-time.Hour) }, false},
		"key file without a name":       {func(c *Config) { c.KeyFiles = []string{""} }, false},
		"too many key files":            {func(c *Config) { c.KeyFiles = strings.Split(strings.Repeat("a", 17), "") }, false},
	} {
		config := good
		c.change(&config)
		err := config.Validate()
		if c.ok != (err == nil) || err != nil && !errors.Is(err, errConfig) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := New(good, Options{}); !errors.Is(err, errConfig) {
		t.Errorf("without storage: %v", err)
	}
}

func TestDefaultsAreTheSafeSide(t *testing.T) {
	c := Config{}.withDefaults()
	if c.Algorithm != "ES256" || time.Duration(c.Rotate) != 720*time.Hour || time.Duration(c.RotateOverlap) != 24*time.Hour {
		t.Errorf("%+v", c)
	}
	tmpl := template(t, TokenDefinition{})
	if tmpl.TTL() != 5*time.Minute || tmpl.Header() != "Authorization" || tmpl.Value("x") != "Bearer x" || tmpl.PerRequest() || tmpl.plain || tmpl.all {
		t.Errorf("%+v", tmpl)
	}
	if pollInterval(c) != 10*time.Minute || pollInterval(Config{RotateOverlap: cache.Duration(time.Hour)}) != 6*time.Minute {
		t.Error("interval between looks")
	}
}

func TestTokenDefinitionsAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*TokenDefinition)
		ok     bool
	}{
		"a header":               {func(d *TokenDefinition) { d.Header = "X-Token" }, true},
		"a header with a scheme": {func(d *TokenDefinition) { d.Header, d.Scheme = "X-Token", "Token" }, true},
		"a cookie":               {func(d *TokenDefinition) { d.Cookie = "session" }, true},
		"all claims":             {func(d *TokenDefinition) { d.Claims = []string{"*"} }, true},
		"the longest life":       {func(d *TokenDefinition) { d.TTL = cache.Duration(maxTTL) }, true},
		"header and cookie":      {func(d *TokenDefinition) { d.Header, d.Cookie = "X-Token", "session" }, false},
		"scheme and cookie":      {func(d *TokenDefinition) { d.Scheme, d.Cookie = "Bearer", "session" }, false},
		"a header with a break":  {func(d *TokenDefinition) { d.Header = "X\r\nY" }, false},
		"a header with a space":  {func(d *TokenDefinition) { d.Header = "X Y" }, false},
		"a cookie with =":        {func(d *TokenDefinition) { d.Cookie = "a=b" }, false},
		"a scheme with a space":  {func(d *TokenDefinition) { d.Scheme = "Bearer x" }, false},
		"no audience":            {func(d *TokenDefinition) { d.Audience = nil }, false},
		"an audience twice":      {func(d *TokenDefinition) { d.Audience = []string{"a", "b", "a"} }, false},
		"an empty audience":      {func(d *TokenDefinition) { d.Audience = []string{"a", ""} }, false},
		"too many audiences":     {func(d *TokenDefinition) { d.Audience = strings.Split(strings.Repeat("a", 33), "") }, false},
		"over a day":             {func(d *TokenDefinition) { d.TTL = cache.Duration(maxTTL + time.Second) }, false},
		"under a second":         {func(d *TokenDefinition) { d.TTL = cache.Duration(time.Millisecond) }, false},
		"fractions of seconds":   {func(d *TokenDefinition) { d.TTL = cache.Duration(1500 * time.Millisecond) }, false},
		"negative life":          {func(d *TokenDefinition) { d.TTL = cache.Duration(-time.Second) }, false},
		"* among names":          {func(d *TokenDefinition) { d.Claims = []string{"a", "*"} }, false},
		"a name twice":           {func(d *TokenDefinition) { d.Claims = []string{"a", "a"} }, false},
		"an empty name":          {func(d *TokenDefinition) { d.Claims = []string{""} }, false},
		"cnf":                    {func(d *TokenDefinition) { d.Claims = []string{"cnf"} }, false},
		"cnf as subject":         {func(d *TokenDefinition) { d.Subject = "cnf" }, false},
		"another type":           {func(d *TokenDefinition) { d.Type = "logout+jwt" }, false},
		"another way to mint":    {func(d *TokenDefinition) { d.Mint = "always" }, false},
	} {
		d := TokenDefinition{Audience: []string{"payroll"}}
		c.change(&d)
		_, err := Compile(d)
		if c.ok != (err == nil) || err != nil && !errors.Is(err, errDefinition) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if tmpl := template(t, TokenDefinition{Cookie: "session", Mint: MintPerRequest}); tmpl.Cookie() != "session" || tmpl.Header() != "" || tmpl.Value("x") != "x" || !tmpl.PerRequest() {
		t.Errorf("%+v", tmpl)
	}
}
