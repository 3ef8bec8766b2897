package cache

// Unnamed reports whether no purge since version names any of names; current
// is the version to ask from next time. It is for what lasts longer than a
// look-up, such as an upgraded connection; cached values check themselves.
func (l *Log) Unnamed(version uint64, names []Name) (current uint64, ok bool) {
	return l.unchanged(version, func() ([]Name, bool) { return names, true })
}
