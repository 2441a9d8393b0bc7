package httpapi_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/infra/httpserver"
	"rollcall/projections/httpapi"
)

// With a token every route that is not described as open asks for it, the page too, and with it answers as it does without.
func TestTokenWhereTheDescriptionSaysSo(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	w.settle()
	const token = "a-token-of-some-length"
	file := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	server, err := httpserver.Listen(httpserver.Config{Address: "127.0.0.1:0", Access: httpserver.Access{TokenFile: file}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	server.Start(w.server.Config.Handler)
	var d struct {
		Paths map[string]map[string]struct {
			Security *[]any // nil: as everywhere
		}
	}
	if err := json.Unmarshal(httpapi.OpenAPI(), &d); err != nil {
		t.Fatal(err)
	}
	open := map[string]bool{"/": false, "/web/app.js": false, "/nothing": false}
	for path, methods := range d.Paths {
		for _, op := range methods {
			path = strings.NewReplacer("{id}", "n1", "{name}", "registry", "{action}", "resume", "{group}", "orders").Replace(path)
			open[path] = op.Security != nil
		}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(path, password string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, server.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			request.SetBasicAuth("browser", password)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	for path, isOpen := range open {
		if code := ask(path, ""); (code == http.StatusUnauthorized) == isOpen {
			t.Errorf("%s without a token: %d, described as open: %v", path, code, isOpen)
		}
		if code := ask(path, token); code == http.StatusUnauthorized {
			t.Errorf("%s with the token: %d", path, code)
		}
	}
	if len(open) < 15 || !open["/livez"] || !open["/readyz"] || ask("/", token) != http.StatusOK {
		t.Errorf("routes: %v", open)
	}
}
