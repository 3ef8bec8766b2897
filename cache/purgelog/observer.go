package purgelog

import "errors"

// ErrFull is returned where the deny list holds MaxDenials denials, or remembers
// as many that were taken back, or where maxPending purges wait for the shared log.
var ErrFull = errors.New("deny list is full")

// Origins of a purge, as an Observer counts them.
const (
	// OriginLocal is this node.
	OriginLocal = "local"
	// OriginLog is another node, by way of the shared log.
	OriginLog = "log"
)

// Observer counts purges for metrics. Its method is called under the log's lock:
// it must be cheap and must not call the log.
type Observer interface {
	// Purge counts one purge by where it came from: OriginLocal or OriginLog.
	Purge(origin string)
}

type discard struct{}

func (discard) Purge(string) {}
