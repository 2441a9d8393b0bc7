package httpapi

import (
	_ "embed"
	"net/http"
)

//go:embed openapi.json
var openapiJSON []byte

// OpenAPI returns the description of the API, OpenAPI 3.1 as JSON.
func OpenAPI() []byte { return append([]byte(nil), openapiJSON...) }

func (a *api) openapi(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-cache")
	return serveBytes(w, r, "openapi.json", openapiJSON)
}
