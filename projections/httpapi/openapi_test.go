package httpapi

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

type description struct {
	OpenAPI string                          `json:"openapi"`
	Paths   map[string]map[string]operation `json:"paths"`
}

type operation struct {
	ID         string `json:"operationId"`
	Parameters []struct {
		Name string `json:"name"`
		In   string `json:"in"`
	} `json:"parameters"`
}

// What is described is what is served: the same paths, methods and query parameters.
func TestDescriptionAgreesWithTheRoutes(t *testing.T) {
	var d description
	if err := json.Unmarshal(OpenAPI(), &d); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(d.OpenAPI, "3.1.") {
		t.Errorf("openapi is %q, want 3.1", d.OpenAPI)
	}
	a := &api{cfg: Config{Dev: nobody{}, Metrics: http.NotFoundHandler()}}
	served := make(map[string]bool)
	for _, rt := range a.routes() {
		if rt.pattern == "/{$}" || strings.HasPrefix(rt.pattern, "/web/") {
			continue // the page is not part of the API
		}
		served[rt.pattern] = true
		op, ok := d.Paths[rt.pattern][strings.ToLower(rt.method)]
		if !ok {
			t.Errorf("%s %s is served and not described", rt.method, rt.pattern)
			continue
		}
		var params []string
		for _, p := range op.Parameters {
			if p.In == "query" {
				params = append(params, p.Name)
			}
		}
		slices.Sort(params)
		if want := slices.Sorted(slices.Values(rt.params)); !slices.Equal(params, want) {
			t.Errorf("%s takes %v and is described with %v", rt.pattern, want, params)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		if !served[path] || len(d.Paths[path]) != 1 {
			t.Errorf("%s is described and not served, or with more methods than one", path)
		}
	}
}

type nobody struct{ DevControl }
