// Package purgelog keeps what was purged and what is denied, on this node and,
// through a [Stream], on all nodes.
//
// A [Log] holds two things. Purges make cached values invalid: each value is
// checked against the log whenever the log has moved since the last check.
// Denials are held by its [DenyList] until the last token that they can name has
// expired. Both arrive as [Record] values, from this node by Append, Deny and
// Undeny, and from other nodes by the stream, which feeds Open, Apply, Confirm
// and Lost.
//
// The log speaks of names by their [NameHash] alone. It knows nothing of tokens,
// users, or entries of a cache. All methods are safe for concurrent use.
package purgelog
