package claim

// UserAttributes lists, by claim, the attributes of the user that its
// expression reads by name, for those who know which attributes there are.
func (r *Rules) UserAttributes() map[string][]string {
	read := make(map[string][]string)
	for i := range r.rules {
		rule := &r.rules[i]
		if rule.program == nil {
			continue
		}
		if names := rule.program.Members("user"); len(names) > 0 {
			read[rule.name] = names
		}
	}
	return read
}
