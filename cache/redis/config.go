package redis

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
)

// Defaults of Config.
const (
	// DefaultPrefix begins every name in Redis.
	DefaultPrefix = "token_enrich:"

	// DefaultTimeout bounds every call on a request's path.
	DefaultTimeout = 100 * time.Millisecond

	// defaultPort is Redis' own.
	defaultPort = "6379"
)

// Bounds of Config: a prefix is part of every name, and a time-out over a few
// seconds would make a slow Redis worse than none.
const (
	maxPrefix  = 64
	minTimeout = time.Millisecond
	maxTimeout = 5 * time.Second
)

// Config configures the shared tier. Values live there encrypted; names
// reveal nothing. Redis may be lost at any time: requests then go on with
// memory and directory.
//
// The least rights that it needs, as an ACL rule (with the default prefix):
//
//	user gateway on >… ~token_enrich:* -@all +@connection +getrange +set +del
//	  +xadd +xread +xrange +xrevrange +xtrim +zadd +zrangebyscore
//	  +zremrangebyscore +pexpire +info
//
// A Redis that evicts keys should do so among keys with an expiry only
// (maxmemory-policy volatile-lru or volatile-ttl): the purge log and the deny
// list have none. Another policy is a warning in the status.
type Config struct {
	// Where Redis is, as one URL: redis://[user:password@]host[:port][/db],
	// rediss:// for TLS, or unix://[user:password@]/path/to/socket[?db=n].
	// What is set beside the URL must not contradict it.
	URL string `json:"url,omitempty"`

	// Where Redis is, as host:port (default port 6379) or as the path of a
	// unix socket. Several addresses mean a Cluster, or with master_name the
	// Sentinels. Either url or address is required; with both, the URL's
	// host comes first.
	Addresses []string `json:"addresses,omitempty"`

	// The name of the master that the Sentinels watch. Default: none, which
	// means that the addresses are Redis servers.
	MasterName string `json:"master_name,omitempty"`

	// Treats a single address as the entry to a Cluster. Default: false;
	// several addresses without master_name are a Cluster anyway.
	Cluster bool `json:"cluster,omitempty"`

	// The name of the ACL user. Default: Redis' own default user.
	Username string `json:"username,omitempty"`

	// The password. Sending it over plaintext to another host is an error
	// unless insecure_plaintext is set. Default: none.
	Password string `json:"password,omitempty"`

	// The name for the Sentinels themselves, where they ask for one. Default:
	// none.
	SentinelUsername string `json:"sentinel_username,omitempty"`

	// The password for the Sentinels themselves. Default: none.
	SentinelPassword string `json:"sentinel_password,omitempty"`

	// The number of the database; a Cluster has only 0. Default: 0.
	DB int `json:"db,omitempty"`

	// Turns TLS on, also when empty. A rediss:// URL does so as well.
	// Default: plaintext.
	TLS *TLS `json:"tls,omitempty"`

	// What every name in Redis begins with. Gateways that are to share
	// entries need the same prefix, others must not have it. At most 64
	// bytes, no spaces or control characters. Default: token_enrich:
	Prefix string `json:"prefix,omitempty"`

	// How long a request waits for Redis at most; then it goes on without.
	// Between 1ms and 5s. Default: 100ms.
	Timeout cache.Duration `json:"timeout,omitempty"`

	// Allows a password over plaintext to another host. Anyone on the way
	// can then read it. Default: false.
	InsecurePlaintext bool `json:"insecure_plaintext,omitempty"`
}

// TLS configures how Redis proves who it is, and how we do. The certificate is
// always verified; the least version is 1.2.
type TLS struct {
	// A PEM file with the certificates to trust. Default: the system's.
	CA string `json:"ca,omitempty"`

	// A PEM file with our certificate, read again for every connection; it
	// needs key. Default: none.
	Cert string `json:"cert,omitempty"`

	// A PEM file with the certificate's key, read again for every connection;
	// it needs cert. Default: none.
	Key string `json:"key,omitempty"`

	// The name that the certificate must hold. Default: the host of the
	// address.
	ServerName string `json:"server_name,omitempty"`
}

// errConfig marks an error of the configuration itself, before anything is tried.
var errConfig = errors.New("invalid redis configuration")

func invalid(format string, a ...any) error {
	return fmt.Errorf("%w: %s", errConfig, fmt.Sprintf(format, a...))
}

// Validate reports what is wrong with the configuration in itself. It touches
// no network and its error holds no secret.
func (c Config) Validate() error {
	_, err := c.resolve()
	return err
}

// endpoint is a configuration with its URL merged into the fields and all
// defaults filled in. All errors of the configuration are found on the way to it,
// so that Validate and New cannot disagree.
type endpoint struct {
	addresses []string
	cluster   bool
	username  string
	password  string
	db        int
	tls       *tls.Config // nil: plaintext
	prefix    string
	timeout   time.Duration
}

// resolve merges the URL into the fields, fills in defaults and checks all of
// it.
func (c Config) resolve() (*endpoint, error) {
	e := &endpoint{
		username: c.Username, password: c.Password, db: c.DB,
		prefix: c.Prefix, timeout: time.Duration(c.Timeout),
	}
	useTLS := c.TLS != nil
	if c.URL != "" {
		secure, err := e.merge(c.URL)
		if err != nil {
			return nil, err
		}
		useTLS = useTLS || secure
	}
	for _, a := range c.Addresses {
		addr, err := normalize(a)
		if err != nil {
			return nil, err
		}
		e.addresses = append(e.addresses, addr)
	}
	e.prefix = cmp.Or(e.prefix, DefaultPrefix)
	e.timeout = cmp.Or(e.timeout, DefaultTimeout)
	e.cluster = c.MasterName == "" && (c.Cluster || len(e.addresses) > 1)
	switch {
	case len(e.addresses) == 0:
		return nil, invalid("url or address is required")
	case c.Cluster && c.MasterName != "":
		return nil, invalid("cluster and master_name cannot be combined")
	case e.cluster && e.db != 0:
		return nil, invalid("a cluster has no database %d", e.db)
	case e.db < 0:
		return nil, invalid("db is negative")
	case e.username != "" && e.password == "":
		return nil, invalid("username without password")
	case c.SentinelUsername != "" && c.SentinelPassword == "":
		return nil, invalid("sentinel_username without sentinel_password")
	case c.SentinelPassword != "" && c.MasterName == "":
		return nil, invalid("sentinel_password without master_name")
	case len(e.prefix) > maxPrefix || strings.ContainsFunc(e.prefix, unprintable):
		return nil, invalid("prefix has more than %d bytes, or a character that is not printable ASCII", maxPrefix)
	case e.timeout < minTimeout || e.timeout > maxTimeout:
		return nil, invalid("timeout is not between %v and %v", minTimeout, maxTimeout)
	}
	if (e.cluster || c.MasterName != "") && anySocket(e.addresses) {
		return nil, invalid("a unix socket is neither a cluster nor a sentinel")
	}
	if useTLS {
		if anySocket(e.addresses) {
			return nil, invalid("a unix socket has no TLS")
		}
		var err error
		if e.tls, err = c.TLS.config(); err != nil {
			return nil, err
		}
	}
	if (e.password != "" || c.SentinelPassword != "") && e.tls == nil && !c.InsecurePlaintext {
		for _, a := range e.addresses {
			if !local(a) {
				return nil, invalid("a password over plaintext to %s: use TLS, or set insecure_plaintext", a)
			}
		}
	}
	return e, nil
}

func unprintable(r rune) bool { return r <= ' ' || r > '~' }

// merge reads the URL. Its errors never hold the URL, which may hold a
// password.
func (e *endpoint) merge(text string) (secure bool, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return false, invalid("url cannot be read")
	}
	if u.User != nil {
		name := u.User.Username()
		password, _ := u.User.Password()
		if e.username != "" && name != "" && name != e.username || e.password != "" && password != "" && password != e.password {
			return false, invalid("url and fields name different users or passwords")
		}
		if name != "" {
			e.username = name
		}
		if password != "" {
			e.password = password
		}
	}
	var db string
	switch u.Scheme {
	case "redis", "rediss":
		if u.RawQuery != "" || u.Fragment != "" {
			return false, invalid("url has options; set them as fields")
		}
		addr, err := normalize(u.Host)
		if err != nil {
			return false, err
		}
		e.addresses = append(e.addresses, addr)
		db = strings.Trim(u.Path, "/")
	case "unix":
		q := u.Query()
		db = q.Get("db")
		q.Del("db")
		if len(q) != 0 || u.Fragment != "" || u.Host != "" || u.Path == "" {
			return false, invalid("url of a unix socket is unix:///path, with db as its only option")
		}
		e.addresses = append(e.addresses, u.Path)
	default:
		return false, invalid("url must start with redis://, rediss:// or unix://")
	}
	if db != "" {
		n, err := strconv.Atoi(db)
		if err != nil || n < 0 || e.db != 0 && e.db != n {
			return false, invalid("database in the url is not a number, or differs from db")
		}
		e.db = n
	}
	return u.Scheme == "rediss", nil
}

// normalize returns host:port, or the path of a socket.
func normalize(a string) (string, error) {
	if strings.HasPrefix(a, "/") {
		return a, nil
	}
	host, port, err := net.SplitHostPort(a)
	if err != nil {
		host, port = strings.Trim(a, "[]"), defaultPort
		if strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return "", invalid("address is not host:port")
		}
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", invalid("address has no usable port")
	}
	if host == "" || strings.ContainsFunc(host, unprintable) || strings.ContainsAny(host, "/@") {
		return "", invalid("address has no usable host")
	}
	return net.JoinHostPort(host, port), nil
}

func socket(a string) bool { return strings.HasPrefix(a, "/") }

func anySocket(addresses []string) bool { return slices.ContainsFunc(addresses, socket) }

// local reports whether an address cannot leave this machine.
func local(a string) bool {
	if socket(a) {
		return true
	}
	host, _, err := net.SplitHostPort(a)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// config reads the files. A nil TLS means the system's trust and no
// certificate of our own.
func (t *TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t == nil {
		return c, nil
	}
	c.ServerName = t.ServerName
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("reading the redis CA: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, invalid("tls ca holds no certificate")
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, invalid("tls cert and key must be set together")
	}
	if t.Cert != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
			if err != nil {
				return nil, fmt.Errorf("reading the redis client certificate: %w", err)
			}
			return &pair, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return c, nil
}
