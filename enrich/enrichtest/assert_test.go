package enrichtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

func want(t *testing.T, what string, got, wanted any) {
	t.Helper()
	if !reflect.DeepEqual(got, wanted) {
		t.Errorf("%s: got %#v, want %#v", what, got, wanted)
	}
}

func open(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	header, err := enrichtest.Header(token)
	if err != nil {
		t.Fatal(err)
	}
	claims, err = enrichtest.Payload(token)
	if err != nil {
		t.Fatal(err)
	}
	return header, claims
}

// fetch asks for url and reads the whole answer.
func fetch(t *testing.T, client *http.Client, url string) (int, http.Header, []byte, error) {
	t.Helper()
	if client == nil {
		client = http.DefaultClient
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, body, err
}

func fetchJSON(t *testing.T, client *http.Client, url string, into any) {
	t.Helper()
	status, _, body, err := fetch(t, client, url)
	if err != nil {
		t.Fatal(err)
	}
	if status != http.StatusOK {
		t.Fatalf("status %d from %s", status, url)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatal(err)
	}
}
