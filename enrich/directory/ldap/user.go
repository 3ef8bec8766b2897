package ldap

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file reads a user out of an entry, with the state of the account in the
// attributes of the several servers.

// idAttributes are identifiers that an entry keeps when it is renamed.
var idAttributes = [...]string{"entryUUID", "objectGUID", "nsUniqueId", "ipaUniqueID"}

// loginAttributes are the attributes that may be the login, the first one that
// the entry has.
var loginAttributes = [...]string{"uid", "sAMAccountName", "userPrincipalName"}

// stateAttributes say whether an account may be used, each in the form of its
// server. They are operational or computed, so servers return them only where
// they are named.
var stateAttributes = [...]string{
	"userAccountControl", "msDS-User-Account-Control-Computed", "accountExpires", // Active Directory
	"nsAccountLock",           // 389 Directory Server, FreeIPA
	"pwdAccountLockedTime",    // OpenLDAP's password policy
	"loginDisabled",           // eDirectory
	"ds-pwp-account-disabled", // OpenDJ, PingDirectory
	"shadowExpire",            // RFC 2307
	"createTimestamp", "modifyTimestamp", "pwdChangedTime",
}

// userAttributes returns the attributes that a search for a user requests, each
// once.
func (s *settings) userAttributes() []string {
	var names []string
	if len(s.Attributes) == 0 {
		names = append(names, "*")
	}
	names = append(names, s.Attributes...)
	names = append(names, idAttributes[:]...)
	names = append(names, loginAttributes[:]...)
	names = append(names, stateAttributes[:]...)
	if s.primary != nil && s.readsGroups() {
		names = append(names, "objectSid", "primaryGroupID")
	}
	for _, c := range s.user.checks {
		names = append(names, c.attribute)
	}
	for _, name := range []string{s.UserID, s.Login} {
		if name != "" && !strings.EqualFold(name, "dn") {
			names = append(names, name)
		}
	}
	if s.MemberOf {
		names = append(names, "memberOf")
	}
	// Sorted and without duplicates, which some servers refuse.
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return slices.CompactFunc(names, strings.EqualFold)
}

// readUser returns the user of an entry.
func (s *settings) readUser(e *ldap.Entry) *identity.User {
	u := &identity.User{
		Profile:         s.profile(e),
		Status:          status(e, s.Clock()),
		Created:         generalizedTime(text(e, "createTimestamp")),
		LastUpdated:     generalizedTime(text(e, "modifyTimestamp")),
		PasswordChanged: generalizedTime(text(e, "pwdChangedTime")),
	}
	if s.UserID != "" {
		u.ID = text(e, s.UserID)
	} else if u.ID = firstText(e, idAttributes[:]...); u.ID == "" {
		u.ID = e.DN
	}
	if s.Login != "" {
		u.Login = text(e, s.Login)
	} else {
		u.Login = firstText(e, loginAttributes[:]...)
	}
	return u
}

// Flags of userAccountControl (MS-ADTS, section 2.2.16).
const (
	accountDisabled = 0x2
	accountLocked   = 0x10
)

// status returns whether the account may be used: SUSPENDED, LOCKED_OUT, or
// ACTIVE. It is empty where the entry does not say.
func status(e *ldap.Entry, now time.Time) string {
	known := false
	// Active Directory computes some flags in a second attribute.
	flags := int64(0)
	for _, name := range [...]string{"userAccountControl", "msDS-User-Account-Control-Computed"} {
		if n, err := strconv.ParseInt(text(e, name), 10, 64); err == nil {
			known = true
			flags |= n
		}
	}
	switch {
	case flags&accountDisabled != 0,
		isTrue(text(e, "nsAccountLock")), isTrue(text(e, "loginDisabled")), isTrue(text(e, "ds-pwp-account-disabled")),
		expired(text(e, "accountExpires"), now), expiredDays(text(e, "shadowExpire"), now):
		return identity.StatusSuspended
	case flags&accountLocked != 0, text(e, "pwdAccountLockedTime") != "":
		// Only the password policy knows when its lock ends by itself, so it
		// lasts until the server removes the attribute.
		return identity.StatusLockedOut
	case known:
		return identity.StatusActive
	}
	return ""
}

// isTrue reports whether a text is the LDAP value TRUE.
func isTrue(text string) bool { return strings.EqualFold(text, "true") }

// expired reports whether accountExpires is past: hundreds of nanoseconds since
// 1601. Zero and the largest number mean never.
func expired(text string, now time.Time) bool {
	const unixEpoch = 11_644_473_600 // seconds from 1601 to 1970
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || n == 1<<63-1 {
		return false
	}
	return !now.Before(time.Unix(n/10_000_000-unixEpoch, 0))
}

// expiredDays reports whether shadowExpire is past: days since 1970. A negative
// number means never.
func expiredDays(text string, now time.Time) bool {
	n, err := strconv.ParseInt(text, 10, 32)
	return err == nil && n >= 0 && !now.Before(time.Unix(n*24*60*60, 0))
}

// generalizedTime parses a time in the form of RFC 4517, section 3.3.13. It is
// the zero time where the text is none.
func generalizedTime(text string) time.Time {
	for _, layout := range [...]string{"20060102150405Z0700", "20060102150405.999999999Z0700", "200601021504Z0700"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
