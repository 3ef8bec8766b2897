// Package file is the directory in a YAML or JSON file: users, groups and apps,
// read whole into memory, watched, and replaced when the file is edited. An edit
// that is broken, empty or cut short is not used: the last good copy stays in
// use, and log and status say so.
//
// The shape, in YAML:
//
//	users:
//	  - id: 00u1ada
//	    login: ada@example.com
//	    status: ACTIVE
//	    profile: { firstName: Ada, email: ada@example.com }
//	    groups: [00gIT]
//	    linked: { manager: 00u2eve }
//	groups:
//	  - { id: 00gIT, type: OKTA_GROUP, profile: { name: IT } }
//	apps:
//	  - id: 0oa1payroll
//	    clientId: payroll
//	    profile: { groupallowlist: [00gIT] }
//	    users:
//	      - { id: 00u1ada, userName: ada, profile: { role: admin } }
//
// Ids are text as written, so that 0042 stays 0042; elsewhere numbers are
// numbers, except a whole number with a leading zero, which is an identifier
// and stays text. Dates and times stay text in profiles.
package file
