package selftest

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// This file has the report in its two forms: JSON, whose members are part of the
// interface, and text.

// Report is what a selftest found. It is proof only if Accepted is true and there are
// no bypasses.
type Report struct {
	// How many requests were sent, and how many of the dishonest ones reached an
	// application.
	Requests int `json:"requests"`
	Reached  int `json:"reached"`

	// How often dishonest requests were answered with each status, where an
	// honest request reaches an application.
	Refused map[string]int `json:"refused"`

	// The names that the gateway writes or reads a token from, the number of
	// spellings that were sent of them, and the number of paths they were sent to.
	Names     []string `json:"names"`
	Spellings int      `json:"spellings"`
	Targets   int      `json:"targets"`

	// Whether a path took the token, so that a header of the gateway reached an
	// application; and the first answer to an honest request with the token that
	// had none. Where the token was not accepted the selftest proves nothing.
	Accepted bool   `json:"token_accepted"`
	Answer   string `json:"token_answer,omitempty"`

	// What became of the spellings of guarded paths.
	Guarded GuardedPaths `json:"guarded_paths"`

	// What got through, and how many more did beyond the bound of the list.
	Bypasses []Bypass `json:"passed"`
	More     int      `json:"passed_more,omitempty"`

	// What was left out or not sent, so that it may hide a bypass.
	Notes []string `json:"notes,omitempty"`
}

// GuardedPaths is what became of the spellings of guarded paths.
type GuardedPaths struct {
	// How many paths are refused as written, with the token or without.
	Paths int `json:"paths"`

	// How many spellings of them were sent.
	Spellings int `json:"spellings"`

	// How often a spelling was answered with each status.
	Refused map[string]int `json:"refused"`
}

// Bypass is something that got past the gateway.
type Bypass struct {
	// What went wrong: passed (the client's value arrived), answered (it came
	// back in the answer), lost (a header of the gateway is missing), doubled (a
	// header of the gateway is there more often), reached (a spelling of a path
	// that is refused as written reached the application).
	Kind string `json:"kind"`

	// The request: its protocol, host and path, whether it had the token, the
	// section that the name was in (header, trailer, cookie, path, …), and the
	// name as it was sent.
	Protocol string `json:"protocol"`
	Site     string `json:"site"`
	Path     string `json:"path"`
	Token    bool   `json:"token"`
	Section  string `json:"section"`
	Sent     string `json:"sent"`

	// The application that it reached, and the name that it had there.
	Upstream string `json:"upstream,omitempty"`
	Arrived  string `json:"arrived,omitempty"`
}

// Bypassed returns the number of bypasses, those that are not listed included.
func (r *Report) Bypassed() int { return len(r.Bypasses) + r.More }

// maxTable is how many bypasses the table has. JSON lists more.
const maxTable = 40

// Write writes the report as text to out, and its notes to diagnostics: first the
// table of bypasses, then the counts that show how much was tested, then the result.
func (r *Report) Write(out, diagnostics io.Writer) error {
	for _, n := range r.Notes {
		fmt.Fprintf(diagnostics, "note: %s\n", n)
	}
	if r.Bypassed() > 0 {
		if err := r.writeTable(out); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "sent %d requests to %d paths: %d spellings of %s; %d of them reached an application%s\n",
		r.Requests, r.Targets, r.Spellings, plural(len(r.Names), "name"), r.Reached, tally("; refused where a regular request is not: ", r.Refused))
	if r.Guarded.Paths > 0 {
		fmt.Fprintf(out, "of them %d spellings of %s%s\n", r.Guarded.Spellings, plural(r.Guarded.Paths, "guarded path"), tally("; refused: ", r.Guarded.Refused))
	}
	switch {
	case r.Bypassed() > 0:
		fmt.Fprintf(out, "%s got through\n", plural(r.Bypassed(), "forgery"))
	case r.Accepted:
		fmt.Fprintln(out, "nothing got through")
	}
	return nil
}

// writeTable writes the first maxTable bypasses, a line each. Names are quoted, because
// a spelling may hold control characters.
func (r *Report) writeTable(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tPROTOCOL\tWHERE\tTOKEN\tSECTION\tSENT AS\tARRIVED AS\tAT")
	for _, b := range r.Bypasses[:min(len(r.Bypasses), maxTable)] {
		with := "without"
		if b.Token {
			with = "with"
		}
		fmt.Fprintf(w, "%s\t%s\t%s%s\t%s\t%s\t%s\t%s\t%s\n", b.Kind, b.Protocol, b.Site, b.Path, with, b.Section, strings.Trim(strconv.QuoteToASCII(b.Sent), `"`), b.Arrived, b.Upstream)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if more := r.Bypassed() - maxTable; more > 0 {
		fmt.Fprintf(out, "… and %d more\n", more)
	}
	return nil
}

// tally returns how often each answer came, sorted, and preceded by introduction. It is
// empty where there is none.
func tally(introduction string, answers map[string]int) string {
	parts := make([]string, 0, len(answers))
	for answer, n := range answers {
		parts = append(parts, fmt.Sprintf("%d × %s", n, answer))
	}
	if len(parts) == 0 {
		return ""
	}
	slices.Sort(parts)
	return introduction + strings.Join(parts, ", ")
}

// plural returns a number with its noun.
func plural(n int, word string) string {
	switch {
	case n == 1:
		return "1 " + word
	case strings.HasSuffix(word, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(word, "y"))
	}
	return fmt.Sprintf("%d %ss", n, word)
}
