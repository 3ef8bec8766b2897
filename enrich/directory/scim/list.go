package scim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
)

// This file runs queries and reads their lists page by page.

// listResponse is the answer to a query (RFC 7644, section 3.4.2), with the
// cursor of RFC 9865.
type listResponse struct {
	Total      *int64            `json:"totalResults"`
	Resources  []json.RawMessage `json:"Resources"`
	NextCursor string            `json:"nextCursor"`
}

// pageSize is the length of the pages that are requested, unless the service
// says that its own are shorter.
const pageSize = 200

// maxPages bounds the pages of one list.
const maxPages = 500

// query requests one page.
func (d *Directory) query(ctx context.Context, url string) (*listResponse, error) {
	answer, err := d.get(ctx, url)
	if errors.Is(err, directory.ErrNotFound) && !directory.Failed(err) {
		// A query that finds nothing is an empty list. A 404 means a wrong
		// address.
		return nil, fmt.Errorf("querying: status 404: %w", directory.ErrRejected)
	}
	if err != nil {
		return nil, err
	}
	var l listResponse
	if err := answer.Decode(&l); err != nil {
		return nil, err
	}
	if l.Total == nil || *l.Total < 0 || *l.Total < int64(len(l.Resources)) {
		return nil, fmt.Errorf("querying: the answer is not a list: %w", directory.ErrMalformed)
	}
	return &l, nil
}

// all reads all pages of a list and calls each for every resource. The pages
// must add up to the total of the service: a part of a list is a wrong list.
func (d *Directory) all(ctx context.Context, url string, limit int, each func(json.RawMessage) (id string, err error)) error {
	seen := map[string]bool{}
	// By index until the service returns a cursor.
	start, cursor := 1, ""
	for range maxPages {
		page := url + "&count=" + strconv.Itoa(d.pageSize())
		if cursor != "" {
			page += "&cursor=" + fetch.QueryValue(cursor)
		} else {
			page += "&startIndex=" + strconv.Itoa(start)
		}
		l, err := d.query(ctx, page)
		if err != nil {
			return err
		}
		// Known from the first page, before the others are requested.
		if *l.Total > int64(limit) {
			return fmt.Errorf("querying: over %d: %w", limit, directory.ErrTooLarge)
		}
		for _, text := range l.Resources {
			id, err := each(text)
			if err != nil {
				return err
			}
			if seen[id] {
				// The list has changed between two pages.
				return fmt.Errorf("querying: the pages overlap: %w", directory.Transient(directory.ErrMalformed))
			}
			seen[id] = true
		}
		start += len(l.Resources)
		cursor = l.NextCursor
		switch {
		case cursor != "":
		// Complete, whatever the service says about a next page.
		case int64(len(seen)) == *l.Total:
			return nil
		case len(l.Resources) == 0 || int64(len(seen)) > *l.Total:
			return fmt.Errorf("querying: the pages do not match the total: %w", directory.Transient(directory.ErrMalformed))
		}
	}
	return fmt.Errorf("querying: over %d pages: %w", maxPages, directory.ErrTooLarge)
}

// pageSize returns the length of the pages to request.
func (d *Directory) pageSize() int {
	if s := d.service.Load(); s != nil && s.Filter.MaxResults > 0 {
		return min(s.Filter.MaxResults, pageSize)
	}
	return pageSize
}

// filter returns the expression attribute eq "value" for a query. The value is
// a JSON string (RFC 7644, section 3.4.2.2), which it cannot leave. Its quotes
// and backslashes are \u escapes: the string then has no quote in it, and
// services that end a string at the first quote, as some do, read it right or
// find nothing.
func filter(attribute, value string) string {
	return fetch.QueryValue(attribute + ` eq "` + inString.Replace(value) + `"`)
}

// inString escapes for a JSON string. Query.Subject has refused control
// characters.
var inString = strings.NewReplacer(`\`, `\u005c`, `"`, `\u0022`)
