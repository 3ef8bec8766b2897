package cache

// Unnamed reports whether no purge since version names any of names; current
// is the version to ask from next time. It is for what lasts longer than a
// look-up, such as an upgraded connection; cached values check themselves.
func (l *Log) Unnamed(version uint64, names []Name) (current uint64, ok bool) {
	return l.unchanged(version, func() ([]Name, bool) { return names, true })
}

// Names lists the names by which a purge may mean the value; ok is false where
// the tier has let the value go and they are not known any more.
func (p Part) Names() (names []Name, ok bool) {
	if p.cell == nil {
		return nil, false
	}
	return p.cell.current.Load().allNames()
}
