package purgelog

// NameHash is the keyed hash of an id, or of a claim's value, as the log and the
// deny list hold it: it reveals nothing about what it names, and a guess
// cannot be confirmed without the key. The cache's key deriver makes them.
type NameHash [16]byte
