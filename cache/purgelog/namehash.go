package purgelog

// NameHash is the keyed hash of an id, or of a claim's value, as the log and the
// deny list hold it: it reveals nothing about what it names, and nobody without
// the key can confirm a guess. The cache's key deriver makes them.
type NameHash [16]byte
