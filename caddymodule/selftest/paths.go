package selftest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/pathreading"
)

// This file tests the paths that policies guard: where a plain path is refused,
// another spelling of it must not reach its application. Applications decode, clean
// and split paths in different ways, so one path has many spellings.

// isRefusal reports whether an answer is a refusal of the gateway, also where an
// error route has made a page of it. reached says whether the request reached an
// application.
func (r *reply) isRefusal(reached bool) bool {
	return r.header.Get("Cache-Control") == "no-store" && (!reached || r.status >= http.StatusBadRequest || r.header.Get("WWW-Authenticate") != "")
}

// sendGuarded sends the spellings of each target of a site that is refused as it is
// written. Some of them seem to lead to an open target of the same site.
func (s *tester) sendGuarded(ctx context.Context, targets []*target) error {
	for _, t := range targets {
		if !t.refused || strings.Trim(t.path, "/") == "" {
			continue
		}
		// Where a spelling may seem to lead: an open path that takes the same token.
		open := "/x"
		applications := map[string]bool{} // the path's applications, where they are known
		for _, other := range targets {
			switch {
			case other.refused:
			case other.path == t.path:
				for upstream := range other.baseline {
					applications[upstream] = true
				}
			case (other.place == nil) == (t.place == nil) && len(other.baseline) > 0 && strings.Trim(other.path, "/") != "":
				open = strings.TrimSuffix(other.path, "/")
			}
		}
		s.Guarded.Paths++
		for _, spelling := range pathSpellings(t.host, t.path, open, s.readings) {
			for _, protocol := range []string{protocol1, protocol2} {
				if protocol != protocol1 && !strings.HasPrefix(spelling, "/") {
					continue // it is no :path
				}
				if err := s.sendSpelling(ctx, t, protocol, spelling, applications); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// sendSpelling sends one spelling of a guarded path. It is a bypass where it reaches
// one of the path's applications, or any where these are not known.
func (s *tester) sendSpelling(ctx context.Context, t *target, protocol, spelling string, applications map[string]bool) error {
	a := attempt{request: request{protocol: protocol, host: t.host, path: t.path, raw: spelling}, section: "path"}
	s.credentials(&a.request, t)
	s.Guarded.Spellings++
	r, err := s.exchange(ctx, t, a.request)
	if ctx.Err() != nil {
		return fmt.Errorf("the selftest took longer than %v: narrow it with --site and --path", maxSelftest)
	}
	// No answer is a refusal too, but the bound of requests ends the selftest.
	if err != nil {
		if s.Requests > maxAttempts {
			return err
		}
		s.Guarded.Refused["no answer"]++
		return nil
	}
	received := s.probes.take()
	// An application that receives the refusal's error page is not reached.
	if len(received) > 0 && !r.isRefusal(true) {
		for _, p := range received {
			_, errorPage := t.baseline[p.upstream] // of the plain path's refusal
			if !errorPage && (len(applications) == 0 || applications[p.upstream]) {
				s.record(t, a, "reached", spelling, p.upstream, p.path)
				return nil
			}
		}
	}
	s.Guarded.Refused[fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))]++
	return nil
}

// pathSpellings returns spellings that an application may read as a path, or as one
// below it, within the readings that all policies match. A spelling in a reading that
// a policy does not match would be reported although the operator has chosen so. Some seem to lead to an
// open path, or to come from there.
func pathSpellings(host, path, open string, readings pathreading.Set) []string {
	// The spellings change the first segment, where matchers of areas differ.
	first, rest, _ := strings.Cut(strings.Trim(path, "/"), "/")
	below := strings.TrimPrefix(path, "/"+first)
	letter := fmt.Sprintf("%02X", first[0])
	var list []string
	add := func(needs pathreading.Set, spellings ...string) {
		for _, spelling := range spellings {
			if readings.Has(needs) && spelling != path && !slices.Contains(list, spelling) {
				list = append(list, spelling)
			}
		}
	}
	// Spellings that every application resolves: escapes, dot segments, two slashes,
	// and the absolute form of a request target.
	add(0, "/%"+letter+first[1:]+below,
		"/"+path, "/."+path, "/%2e"+path, "/x/.."+path, "/x/%2e%2e"+path, open+strings.Repeat("/..", strings.Count(open, "/"))+path,
		"http://"+bracketed(host)+path, "x:http://"+bracketed(host)+path)
	add(pathreading.DoubleDecoding, "/%25"+letter+first[1:]+below)
	add(pathreading.TrailingDots, "/"+first+"."+below, "/"+first+"%20"+below, path+".")
	add(pathreading.Parameters, "/"+first+";x"+below, "/"+first+"%3bx"+below, path+";x")
	add(pathreading.Authority, "//x"+path)
	add(pathreading.EncodedSlashes|pathreading.Backslashes, `/\`+path[1:]) // which is escaped as it is forwarded
	add(pathreading.EncodedSlashes, "/%2f"+path[1:])
	if strings.ToLower(path) == path { // with capitals, folding is not what the path means
		add(pathreading.LetterCase, "/"+strings.ToUpper(first)+below)
	}
	if rest != "" {
		add(0, "/"+first+"//"+rest, "/"+first+"/./"+rest, "/"+first+"/x/../"+rest)
		add(pathreading.EncodedSlashes|pathreading.Backslashes, "/"+first+`\`+rest)
		add(pathreading.EncodedSlashes, "/"+first+"%2f"+rest)
		add(pathreading.EncodedSlashes|pathreading.Backslashes, "/"+first+"%5c"+rest)
		add(pathreading.EncodedSlashes|pathreading.DoubleDecoding, "/"+first+"%252f"+rest)
	}
	// Dot segments that only some applications resolve, from the open path to this
	// one and back, are refused whatever the readings.
	for _, up := range []struct{ before, dots string }{
		{"/", "..%2f"}, {"%2f", "..%2f"}, {"/", `..\`}, {"/", "..%5c"}, {"/", "..;/"}, {"/", "..;x/"}, {"/", "%252e%252e/"}, {"/", "..%252f"}, {"/", "..%20/"},
	} {
		climb := func(from string) string {
			return from + up.before + strings.Repeat(up.dots, strings.Count(from, "/"))
		}
		add(0, climb(open)+path[1:], climb(strings.TrimSuffix(path, "/"))+open[1:])
	}
	return list
}
