// Package forward writes what the gateway knows about a caller onto the
// request that goes to the application, and deletes from the client's request
// everything that the application could mistake for it.
//
// A [Definition] is configuration, a [HeaderPlan] is its compiled form,
// [HeaderPlan.Render] turns the claims of one decision into field lines, and
// [RenderedHeaders.Write] puts them on any number of requests. [ReservedNames] are
// the names that all plans may write, and those that tokens are read from;
// [ReservedNames.Scrub] removes them, in every spelling, from what a client sent.
//
// Plans, rendered headers and reserved names never change once made and are safe
// for concurrent use.
package forward

import "github.com/tokenenrich/caddy-token-enrich/enrich/token"

// Limits and defaults of a plan.
const (
	// DefaultMaxBytes is how many bytes of value one header may have where
	// its definition does not say. Half of DefaultBudget, so that one list
	// cannot crowd out every other header.
	DefaultMaxBytes = 4096

	// DefaultBudget is how many bytes all headers of a plan may take on
	// the wire together. Common application servers refuse a request whose
	// header section is longer than 8 KiB.
	DefaultBudget = 8 << 10

	// maxBudget bounds what a configuration may ask for; it is what Go's own
	// server accepts at most by default.
	maxBudget = 1 << 20

	// maxHeaders bounds the header definitions of one plan, so that a
	// scrub stays cheap whatever is configured.
	maxHeaders = 128

	// maxNameBytes bounds the length of a header name, prefix or cookie name
	// that is written; names are canonicalized in a buffer of fixed size.
	maxNameBytes = token.MaxNameBytes

	// minPrefixBytes is the shortest prefix that headers_from takes: a shorter
	// one would reserve, and so delete, headers that are not about people.
	minPrefixBytes = 4

	// defaultDelimiter separates the elements of a list.
	defaultDelimiter = ","
)

// Definition says which headers a policy writes.
type Definition struct {
	// A documented set of headers to start from: siteminder, remote_user or
	// oauth2_proxy (see [Preset]). A header below whose name folds to one of
	// the set replaces it. Default: none.
	Preset string `json:"preset,omitempty"`

	// The headers, in the order in which they take from the budget.
	Headers []HeaderDefinition `json:"headers,omitempty"`

	// Headers named after claims: a prefix followed by the claim's name.
	HeadersFrom []HeadersFrom `json:"headers_from,omitempty"`

	// How many bytes all headers together may take on the wire, counted as
	// HTTP/1.1 writes them: name, colon, space, value, line end. A header
	// that does not fit any more does what its on_overflow says. Default:
	// 8192; at most 1048576.
	Budget int `json:"header_budget,omitempty"`
}

// HeaderDefinition maps one claim to one request header.
//
// The value is made in four steps: each element of the claim becomes text and
// is escaped, the elements become a list, the result is encoded, and the
// encoded value is measured. What is written can be read back by undoing the
// steps in the opposite order. A value that a step cannot take is refused:
// the request fails with status 500 and nothing reaches the application.
type HeaderDefinition struct {
	// The header's name. Names that carry routing, framing or other
	// people's credentials are refused when the configuration loads: Host,
	// Connection, Proxy, Transfer-Encoding, TE, Trailer, Upgrade, Content-*,
	// Cookie, Authorization, X-Forwarded-For, -Host, -Proto, -Port and
	// -Prefix, Forwarded, Via, X-Real-IP and the hop-by-hop names, in any
	// spelling that a server could take for one of them.
	Name string `json:"name"`

	// The claim whose value is written: a computed one, or one of the
	// verified token. A claim that is absent, null, an empty text, an empty
	// list or an empty object counts as empty, see on_empty.
	Claim string `json:"claim"`

	// What becomes of a list:
	//
	// - `delimiter`: the elements in one line with the delimiter between them
	// - `json`: the value as JSON; the only form that takes objects
	// - `repeat`: one field line for each element
	// - `first`: the first element, the others are left out
	//
	// Where list, delimiter or escape is set, a value that is no list is
	// treated as a list of one; where none is set, it is written as it is,
	// also when it contains a comma. Null elements are left out. Numbers are
	// written exactly: integers with all digits, others in the shortest form
	// that reads back as the same number. Default: delimiter.
	List string `json:"list,omitempty"`

	// The text between elements. Default: a comma.
	Delimiter string `json:"delimiter,omitempty"`

	// Write the number of elements instead of the elements; a value that is
	// no list counts as one. An empty list is empty (on_empty decides), so
	// that a zero on the wire is asked for with `on_empty default 0`.
	Count bool `json:"count,omitempty"`

	// What is done about the delimiter inside an element:
	//
	// - `refuse`: such an element fails the request
	// - `backslash`: a backslash before the delimiter and before each
	//   backslash
	// - `percent`: percent-encoding of the delimiter, of % and of + (which
	//   form decoders read as a space)
	//
	// Of a longer delimiter the first character is escaped, wherever it
	// occurs. White space at either end of an element would be trimmed by
	// many readers: percent encodes it, the others refuse it. With `list
	// repeat` the delimiter is a comma, because servers and frameworks join
	// repeated lines with commas. Default: refuse.
	Escape string `json:"escape,omitempty"`

	// How the text becomes bytes:
	//
	// - `ascii`: as it is; refused outside printable ASCII (with `list json`,
	//   written as \u escapes instead)
	// - `utf8`: as it is, in UTF-8
	// - `latin1`: as ISO 8859-1 bytes; refused where that has no character
	//   (with `list json`, written as \u escapes instead)
	// - `percent`: RFC 3986 percent-encoding of everything but letters,
	//   digits and -._~
	// - `base64`: RFC 4648 section 4, with padding
	// - `base64url`: RFC 7515 section 2, without padding
	// - `rfc2047`: encoded words, where the text is not plain ASCII already
	// - `rfc8187`: UTF-8''percent-encoded, as in extended parameters
	//
	// The first three refuse control characters, line and paragraph
	// separators, and white space at either end (HTTP strips it). Text that
	// is not valid UTF-8 is refused by all. Default: utf8.
	Encode string `json:"encode,omitempty"`

	// What to do when the claim is empty:
	//
	// - `omit`: no header
	// - `empty`: a header without a value
	// - `deny`: fail the request
	// - `default`: write the default text
	//
	// Default: omit.
	OnEmpty string `json:"on_empty,omitempty"`

	// The text for `on_empty default`. It is encoded like any other value.
	Default string `json:"default,omitempty"`

	// How many bytes the encoded value may have, all repeated lines counted
	// together. Default: 4096.
	MaxBytes int `json:"max_bytes,omitempty"`

	// What to do when the value is longer than max_bytes, or than what is
	// left of the budget:
	//
	// - `deny`: fail the request
	// - `omit`: no header
	// - `truncate_list`: as many elements, from the first, as fit
	// - `split`: headers Name-1 … Name-n instead of Name. Each is complete
	//   in itself: decode each, then put the elements (or, for a value that
	//   is no list, the texts) together. It cannot stretch the budget.
	//
	// A value that cannot be shortened that way fails the request. Default:
	// deny.
	OnOverflow string `json:"on_overflow,omitempty"`

	// Keep this spelling of the name on the wire (SM_USER). It holds for
	// HTTP/1 upstreams; HTTP/2 and HTTP/3 names are always lower-case.
	// Default: the canonical spelling (Sm_user).
	Exact bool `json:"exact,omitempty"`

	// `cn`: each element is a distinguished name (RFC 4514), of which the
	// common name is written. One whose first part has no common name is
	// refused, because the next part names a container. Default: the value
	// itself.
	Value string `json:"value,omitempty"`
}

// HeadersFrom writes a header for each claim, named by a prefix and the
// claim's name. Bytes of the claim's name that no header name may have become
// hyphens. Values are written as by a header without options; objects, and
// lists that hold objects or lists, as JSON.
type HeadersFrom struct {
	// Every client header whose name starts with the prefix, in any
	// spelling, is deleted. Under four characters, `X-` alone, and a prefix
	// under which a refused name falls are errors.
	Prefix string `json:"prefix"`

	// Which claims; names as in the token or in the policy's rules. Default:
	// all, in the order of their names. Two claims whose headers differ in
	// spelling only are an error.
	Claims []string `json:"claims,omitempty"`
}

// Target is where the re-signed token goes: exactly one of a header and a
// cookie. Unlike other headers it may be Authorization.
type Target struct {
	// The header that is written. Default: none.
	Header string `json:"header,omitempty"`

	// The cookie that is written, beside the client's other cookies. Default:
	// none.
	Cookie string `json:"cookie,omitempty"`
}
