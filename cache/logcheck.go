package cache

import "time"

// unchanged reports whether a value checked at that version stands: the log
// has not moved, or none of what came since names it. The version to remember
// is returned with it. Names are only asked for when they are needed.
func (l *Log) unchanged(checked uint64, names func() ([]Name, bool)) (uint64, bool) {
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

// Unnamed reports whether no purge since version names any of names; current
// is the version to ask from next time. It is for what lasts longer than a
// look-up, such as an upgraded connection; cached values check themselves.
func (l *Log) Unnamed(version uint64, names []Name) (current uint64, ok bool) {
	return l.unchanged(version, func() ([]Name, bool) { return names, true })
}

// named reports whether a purge since the entry's fetch began names one of the
// names. What came from a shared tier was fetched before it was read here.
func (l *Log) named(e *Entry, names []Name) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, n := range names {
		if m, ok := l.names[n]; ok && (m.version > e.began || e.shared && e.Position.Before(m.position)) {
			return true
		}
	}
	return false
}

// stands reports whether an entry whose fetch began at that position may be
// used, and the version of the log at which that was found.
func (l *Log) stands(at Position, names []Name) (uint64, bool) {
	version := l.version.Load()
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

// confirmed reports whether a value fetched at those ticks may be used at now:
// there was contact to the stream, or the value itself was fetched, no longer
// than max ago.
func (l *Log) confirmed(now, fetched int64, max time.Duration) bool {
	return l.stream == nil || now-l.contact.Load() <= int64(max) && l.contact.Load() != never ||
		now-fetched <= int64(max) && max > 0
}
