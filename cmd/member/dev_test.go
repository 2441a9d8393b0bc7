package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rollcall/infra/devcluster"
)

// The cluster in a process is measured as a projector is.
func TestDevServesMetrics(t *testing.T) {
	cluster, err := devcluster.Start(t.Context(), devcluster.Config{Nodes: 1, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	handler, err := devAPI(cluster, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8080/metrics", nil))
	if body := w.Body.String(); w.Code != http.StatusOK || !strings.Contains(body, "\nrollcall_projector_position ") {
		t.Errorf("%d %s", w.Code, body)
	}
}

// What is printed to try works as it stands, or says what is missing.
func TestDevHints(t *testing.T) {
	const url = "http://127.0.0.1:8080"
	if got := hints(url, ""); !strings.Contains(got, "\n  curl -X POST "+url+"/dev/nodes/n3/crash\n") || strings.Contains(got, "TOKEN") {
		t.Errorf("without tokens: %s", got)
	}
	got := hints(url, "/etc/tokens")
	if strings.Count(got, `curl -H "Authorization: Bearer $TOKEN" `) != 3 || !strings.Contains(got, "/etc/tokens") {
		t.Errorf("with tokens: %s", got)
	}
}
