package ldap

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// This file turns attribute values into canonical ones.

// secrets are attributes that are always dropped, whatever the account may
// read: what is fetched is cached, and what is cached can become a header.
var secrets = [...]string{
	"userPassword", "unicodePwd", "ntPwdHistory", "lmPwdHistory", "dBCSPwd", "supplementalCredentials",
	"sambaNTPassword", "sambaLMPassword", "sambaPasswordHistory", "krbPrincipalKey", "krbMKey", "ipaNTHash",
	"pwdHistory", "authPassword", "sshPrivateKey", "ms-Mcs-AdmPwd", "msLAPS-Password", "msLAPS-EncryptedPassword",
	"passwordHistory", "nsRole-password", "ipatokenOTPkey", "userPKCS12",
}

// isSecret reports whether an attribute is one of the secrets, with options or
// without.
func isSecret(name string) bool {
	base, _, _ := strings.Cut(name, ";")
	return slices.ContainsFunc(secrets[:], func(s string) bool { return strings.EqualFold(s, base) })
}

// profile returns the attributes of an entry as canonical values, under the
// names of the configuration. It is without the secrets, and without attributes
// that were requested for other purposes.
func (s *settings) profile(e *ldap.Entry) map[string]any {
	out := make(map[string]any, len(e.Attributes))
	for _, a := range e.Attributes {
		// Checked before anything else, also where the configuration names one.
		if isSecret(a.Name) || len(a.ByteValues) == 0 {
			continue
		}
		name, named := a.Name, false
		for _, wanted := range s.Attributes {
			if strings.EqualFold(wanted, a.Name) {
				name, named = wanted, true // as the configuration spells it
			}
		}
		if len(s.Attributes) > 0 && !named {
			continue // requested for another purpose
		}
		values := make([]any, 0, len(a.ByteValues))
		for _, v := range a.ByteValues {
			if text, ok := spell(a.Name, v, named); ok {
				values = append(values, text)
			}
		}
		switch {
		case len(values) == 0:
		// An attribute with one value is that value, unless it is configured as
		// a list.
		case len(values) == 1 && !slices.ContainsFunc(s.Lists, func(l string) bool { return strings.EqualFold(l, name) }):
			out[name] = values[0]
		default:
			out[name] = values
		}
	}
	return out
}

// spell returns a value as text: binary object identifiers in their usual form,
// text as it is. Any other value is base64 where its attribute is named in the
// configuration, and otherwise dropped.
func spell(name string, v []byte, named bool) (string, bool) {
	switch {
	case strings.EqualFold(name, "objectGUID") && len(v) == 16:
		return spellGUID(v), true
	case strings.EqualFold(name, "objectSid"), strings.EqualFold(name, "sIDHistory"):
		if sid, ok := spellSID(v); ok {
			return sid, true
		}
	}
	if utf8.Valid(v) && !slices.Contains(v, 0) {
		return string(v), true
	}
	if named {
		return base64.StdEncoding.EncodeToString(v), true
	}
	return "", false
}

// spellGUID returns a GUID in the form that Windows shows: its first three
// parts are little-endian.
func spellGUID(v []byte) string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(v), binary.LittleEndian.Uint16(v[4:]),
		binary.LittleEndian.Uint16(v[6:]), v[8:10], v[10:16])
}

// spellSID returns a security identifier in the form S-1-5-21-… (MS-DTYP,
// section 2.4.2).
func spellSID(v []byte) (string, bool) {
	if len(v) < 8 || v[0] != 1 || len(v) != 8+4*int(v[1]) {
		return "", false
	}
	authority := uint64(0)
	for _, b := range v[2:8] {
		authority = authority<<8 | uint64(b)
	}
	var text strings.Builder
	text.WriteString("S-1-" + strconv.FormatUint(authority, 10))
	for rest := v[8:]; len(rest) > 0; rest = rest[4:] {
		text.WriteString("-" + strconv.FormatUint(uint64(binary.LittleEndian.Uint32(rest)), 10))
	}
	return text.String(), true
}

// primarySID returns the security identifier of an account's primary group:
// that of its domain, with the group's number at the end.
func primarySID(account []byte, number string) ([]byte, bool) {
	n, err := strconv.ParseUint(number, 10, 32)
	if _, ok := spellSID(account); !ok || err != nil || len(account) < 12 {
		return nil, false
	}
	return binary.LittleEndian.AppendUint32(slices.Clone(account[:len(account)-4]), uint32(n)), true
}

// text returns an attribute's first value as text. It is empty where the entry
// has none.
func text(e *ldap.Entry, name string) string {
	if strings.EqualFold(name, "dn") {
		return e.DN
	}
	for _, a := range e.Attributes {
		if strings.EqualFold(a.Name, name) && len(a.ByteValues) > 0 {
			t, _ := spell(a.Name, a.ByteValues[0], true)
			return t
		}
	}
	return ""
}

// firstText returns the value of the first of these attributes that the entry
// has.
func firstText(e *ldap.Entry, names ...string) string {
	for _, name := range names {
		if t := text(e, name); t != "" {
			return t
		}
	}
	return ""
}
