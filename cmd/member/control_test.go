package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"rollcall"
	"rollcall/events/memlog"
	"rollcall/infra/certs"
)

// lone is a member by itself, with role=web, and what it serves.
func lone(t *testing.T) (*rollcall.Member, http.Handler) {
	t.Helper()
	ca, err := certs.NewCA("test", time.Now(), 2*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := ca.Identity("n1", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	member, err := rollcall.Join(t.Context(), rollcall.Options{
		Cluster: "test", ID: "n1", Bind: netip.MustParseAddrPort("127.0.0.1:0"), Credentials: identity,
		Log: memlog.New("test"), Dir: t.TempDir(), Tags: map[string]string{"role": "web"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { member.Close() })
	api := &memberAPI{member: member}
	return member, api.handler(http.NotFoundHandler())
}

func askTags(ctx context.Context, handler http.Handler, method, body string) (status int, answer string) {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, method, "http://127.0.0.1:7947/v1/tags", strings.NewReader(body)))
	return w.Code, strings.TrimSpace(w.Body.String())
}

// Only what says so removes all tags, and a member without any says that it has none.
func TestTagsAreRemovedOnPurpose(t *testing.T) {
	_, handler := lone(t)
	for _, body := range []string{`{}`, `null`, `{"tags":null}`, ``, `{"tags":{}} {}`, `[]`} {
		if code, answer := askTags(t.Context(), handler, http.MethodPut, body); code != http.StatusBadRequest {
			t.Errorf("PUT %s: %d %s", body, code, answer)
		}
	}
	if _, answer := askTags(t.Context(), handler, http.MethodGet, ""); answer != `{"id":"n1","tags":{"role":"web"}}` {
		t.Errorf("a mistake changed something: %s", answer)
	}
	const none = `{"id":"n1","tags":{}}`
	if code, answer := askTags(t.Context(), handler, http.MethodPut, `{"tags":{}}`); code != http.StatusOK || answer != none {
		t.Errorf("PUT of no tags: %d %s", code, answer)
	}
	if _, answer := askTags(t.Context(), handler, http.MethodGet, ""); answer != none {
		t.Errorf("GET of no tags: %s", answer)
	}
}

// A member that does not come to the change in time makes it later: the answer must not deny that.
func TestTagsMayChangeAfterATimeout(t *testing.T) {
	member, handler := lone(t)
	resume, err := member.Pause(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	code, answer := askTags(ctx, handler, http.MethodPost, `{"set":{"draining":"yes"}}`)
	if code != http.StatusGatewayTimeout || !strings.Contains(answer, "urn:rollcall:problem:timeout") ||
		!strings.Contains(answer, "may still change") {
		t.Errorf("%d %s", code, answer)
	}
	resume()
	deadline := time.After(10 * time.Second)
	for member.Status().Self.Tags.Map()["draining"] != "yes" {
		select {
		case <-deadline:
			t.Fatal("the change never came")
		case <-time.After(time.Millisecond):
		}
	}
	member.Close()
	if code, answer := askTags(t.Context(), handler, http.MethodPost, `{"set":{"draining":"no"}}`); code != http.StatusServiceUnavailable {
		t.Errorf("of a member that has ended: %d %s", code, answer)
	}
}
