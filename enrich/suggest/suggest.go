// Package suggest finds the known word that a misspelt one is closest to, so that
// a configuration error can name it.
package suggest

import "strings"

// maxDistance is how many letters may differ. Beyond a third of a short word
// a suggestion misleads more than it helps.
const maxDistance = 3

// Closest returns the word of words that is closest to wrong, ignoring case, and
// reports whether any is close enough to suggest. Of two equally close ones the
// first wins.
func Closest(wrong string, words []string) (string, bool) {
	best, bestDistance := "", maxDistance+1
	low := strings.ToLower(wrong)
	for _, w := range words {
		if d := distance(low, strings.ToLower(w)); d < bestDistance {
			best, bestDistance = w, d
		}
	}
	if best == "" || bestDistance*3 > max(len(wrong), len(best), 3) {
		return "", false
	}
	return best, true
}

// ClosestName is Closest for names made of several words. If none is close, it
// returns one that begins or ends with the other, as toUpperCase for toUpper; of
// several the one with the fewest further letters.
func ClosestName(wrong string, words []string) (string, bool) {
	if w, ok := Closest(wrong, words); ok {
		return w, true
	}
	best, rest := "", maxLength
	low := strings.ToLower(wrong)
	for _, w := range words {
		short, long := low, strings.ToLower(w)
		if len(short) > len(long) {
			short, long = long, short
		}
		// Less than a third of a name is in too many others.
		if len(short) < minPart || 3*len(short) < len(long) || len(long)-len(short) >= rest {
			continue
		}
		if strings.HasPrefix(long, short) || strings.HasSuffix(long, short) {
			best, rest = w, len(long)-len(short)
		}
	}
	return best, best != ""
}

// minPart is how many letters a part of a name has to have.
const minPart = 3

// DidYouMean returns ` (did you mean "…"?)` to append to an error, or the empty
// string if no word is close enough.
func DidYouMean(wrong string, words []string) string {
	if w, ok := Closest(wrong, words); ok {
		return ` (did you mean "` + w + `"?)`
	}
	return ""
}

// JoinOr returns words as a sentence lists them: a, b or c.
func JoinOr(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// maxLength bounds the work on hostile input; no word of ours is longer.
const maxLength = 64

// distance counts the insertions, deletions, substitutions and swaps of
// neighbours that turn a into b (optimal string alignment).
func distance(a, b string) int {
	if len(a) > maxLength || len(b) > maxLength {
		return maxDistance + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
