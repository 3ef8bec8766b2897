// Package cache keeps what a directory answered, close to the requests that
// need it: in memory, and in a tier that several nodes share. It knows nothing
// of tokens, users or HTTP: an entry is a value of any type under a key that
// reveals nothing, with the time of its fetch and the place in the purge log
// at which that fetch began.
//
// The pieces:
//
//   - A [Store] owns the tiers, the purge log and the loads under way. It survives
//     reloads of the configuration.
//   - A [Cache] is a typed view of a Store for one kind of value. Freshness is
//     not a property of an entry: each reader brings its [TTLs] and the age is
//     counted from the fetch, in whichever tier the entry was found.
//   - A [Handle] is what a cached decision keeps of a value that it was made
//     from. It answers in a few nanoseconds whether that value is still valid.
//   - A [purgelog.Log] holds what was purged and what is denied. It is read from where
//     one stopped, so that a node that was cut off learns what it missed.
//
// All methods are safe for concurrent use. After Close they answer as if
// nothing were cached; none of them panics or blocks.
package cache
