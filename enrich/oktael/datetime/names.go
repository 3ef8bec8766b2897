package datetime

import "strings"

// The names in dates, in English: claims must not change with the language of a
// machine.
var (
	eras     = []string{"BC", "AD"}
	halfdays = []string{"AM", "PM"}
	months   = []string{
		"January", "February", "March", "April", "May", "June",
		"July", "August", "September", "October", "November", "December",
	}
	weekdays = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}
)

// longNames are the English names behind the database's abbreviations, where
// one abbreviation has one meaning.
var longNames = map[string]string{
	"UTC":  "Coordinated Universal Time",
	"GMT":  "Greenwich Mean Time",
	"EST":  "Eastern Standard Time",
	"EDT":  "Eastern Daylight Time",
	"MST":  "Mountain Standard Time",
	"MDT":  "Mountain Daylight Time",
	"PDT":  "Pacific Daylight Time",
	"CDT":  "Central Daylight Time",
	"AKST": "Alaska Standard Time",
	"AKDT": "Alaska Daylight Time",
	"AST":  "Atlantic Standard Time",
	"ADT":  "Atlantic Daylight Time",
	"NST":  "Newfoundland Standard Time",
	"NDT":  "Newfoundland Daylight Time",
	"HST":  "Hawaii Standard Time",
	"WET":  "Western European Time",
	"WEST": "Western European Summer Time",
	"CET":  "Central European Time",
	"CEST": "Central European Summer Time",
	"EET":  "Eastern European Time",
	"EEST": "Eastern European Summer Time",
	"JST":  "Japan Standard Time",
	"KST":  "Korea Standard Time",
	"HKT":  "Hong Kong Time",
	"PKT":  "Pakistan Time",
	"EAT":  "Eastern African Time",
	"CAT":  "Central African Time",
	"SAST": "South Africa Standard Time",
	"AEST": "Australian Eastern Standard Time",
	"AEDT": "Australian Eastern Daylight Time",
	"ACST": "Australian Central Standard Time",
	"ACDT": "Australian Central Daylight Time",
	"AWST": "Australian Western Standard Time",
	"NZST": "New Zealand Standard Time",
	"NZDT": "New Zealand Daylight Time",
}

// regionNames are the names of abbreviations that mean different things in
// different zones, by abbreviation and the start of the zone's name.
var regionNames = []struct{ short, prefix, name string }{
	{"CST", "America/", "Central Standard Time"},
	{"CST", "US/", "Central Standard Time"},
	{"CST", "Canada/", "Central Standard Time"},
	{"CST", "CST6CDT", "Central Standard Time"},
	{"CST", "Asia/Shanghai", "China Standard Time"},
	{"CST", "PRC", "China Standard Time"},
	{"PST", "America/", "Pacific Standard Time"},
	{"PST", "US/", "Pacific Standard Time"},
	{"PST", "Canada/", "Pacific Standard Time"},
	{"PST", "PST8PDT", "Pacific Standard Time"},
	{"BST", "Europe/", "British Summer Time"},
	{"BST", "GB", "British Summer Time"},
	{"IST", "Asia/Kolkata", "India Standard Time"},
	{"IST", "Asia/Calcutta", "India Standard Time"},
	{"IST", "Asia/Jerusalem", "Israel Standard Time"},
	{"IST", "Asia/Tel_Aviv", "Israel Standard Time"},
	{"IST", "Europe/Dublin", "Irish Standard Time"},
	{"IDT", "Asia/", "Israel Daylight Time"},
	{"MSK", "Europe/", "Moscow Standard Time"},
}

// longName is the English name of an abbreviation in a zone, or empty.
func longName(short, zone string) string {
	if name, ok := longNames[short]; ok {
		return name
	}
	for _, r := range regionNames {
		if r.short == short && strings.HasPrefix(zone, r.prefix) {
			return r.name
		}
	}
	return ""
}
