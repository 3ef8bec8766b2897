package purgelog

import "time"

// A cached value is valid as long as no purge since its fetch names it. This
// file answers that for values held on this node (by version), for values that
// came from a shared tier (by position), and for what lasts longer than a
// look-up.

// ValidSince reports whether a value last checked at that version is still
// valid: the log has not moved since, or no purge since then names the value.
// Current is the version to ask from next time. names lists the value's names
// and whether they are known; it is called only when the log has moved. A value
// whose names are unknown is then invalid.
func (l *Log) ValidSince(checked uint64, names func() ([]NameHash, bool)) (current uint64, valid bool) {
	version := l.version.Load()
	if checked == version {
		return version, true
	}
	list, known := names()
	if !known {
		return version, false
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if checked < l.forgotten || l.all.version > checked {
		return version, false
	}
	for _, n := range list {
		if l.names[n].version > checked {
			return version, false
		}
	}
	return version, true
}

// Purged reports whether a purge after that version names one of the names.
func (l *Log) Purged(version uint64, names []NameHash) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, n := range names {
		if l.names[n].version > version {
			return true
		}
	}
	return false
}

// PurgedAfter reports whether a purge after that place in the log names one of
// the names. It is for values of a shared tier: they were fetched before this
// node read them.
func (l *Log) PurgedAfter(p Position, names []NameHash) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, n := range names {
		if m, ok := l.names[n]; ok && p.Before(m.position) {
			return true
		}
	}
	return false
}

// ValidAt reports whether a value may be used whose fetch, on any node, began
// at that place in the log. Version is that at which it was checked. Before the
// log was read for the first time nothing is valid.
func (l *Log) ValidAt(at Position, names []NameHash) (version uint64, valid bool) {
	version = l.version.Load()
	if !l.loaded.Load() {
		return version, false
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if at.Before(l.start) || l.all.version != 0 && at.Before(l.all.position) {
		return version, false
	}
	for _, n := range names {
		if m, ok := l.names[n]; ok && at.Before(m.position) {
			return version, false
		}
	}
	return version, true
}

// Confirmed reports whether a value may be used at now although the log might
// have missed a purge: this node had contact with the stream, or the value
// itself was fetched, no longer than limit ago. Both times are ticks of the
// log's timeline. Without a stream it is always true.
func (l *Log) Confirmed(now, fetched int64, limit time.Duration) bool {
	if l.stream == nil {
		return true
	}
	contact := l.contact.Load()
	return contact != never && now-contact <= int64(limit) || limit > 0 && now-fetched <= int64(limit)
}
