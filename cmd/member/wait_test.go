package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rollcall/events"
)

// A state that comes later is waited for, and so is a node that the log does not name yet.
func TestWaitSeesWhatComes(t *testing.T) {
	log, api := serve(t, story())
	for _, tc := range []struct{ node, state string }{{"n4", "alive"}, {"n4", "left"}} {
		p := start(t, "wait", "--api", api, "--node", tc.node, "--state", tc.state, "--timeout", "10s", "-o", "name")
		ev := story()[0]
		ev.ID, ev.Node, ev.Author = events.NewID(), tc.node, tc.node
		newest, _ := log.Last(t.Context(), tc.node) // at position 0 when there is none
		if tc.state == "left" {
			ev.Kind, ev.Address, ev.Tags = events.Left, "", nil
		}
		if _, err := log.Append(t.Context(), ev, newest.Position); err != nil {
			t.Fatal(err)
		}
		p.wantLine(tc.node)
		if status, stderr := p.stop(); status != 0 {
			t.Errorf("%s %s: status %d: %s", tc.node, tc.state, status, stderr)
		}
	}
}

// A tab of another site in the same browser reaches loopback, and must not be able to make a member leave.
func TestMemberControlRefusesOtherSites(t *testing.T) {
	api := &memberAPI{left: func() { t.Error("the member leaves") }}
	handler := api.handler(http.NotFoundHandler())
	for name, header := range map[string][2]string{
		"fetch metadata": {"Sec-Fetch-Site", "cross-site"}, "origin": {"Origin", "https://evil.example"}, "a name made to point": {"Host", "evil.example"},
	} {
		for _, request := range []*http.Request{
			httptest.NewRequest(http.MethodPost, "http://127.0.0.1:7947/v1/leave", nil),
			httptest.NewRequest(http.MethodPost, "http://127.0.0.1:7947/v1/tags", strings.NewReader("{}")),
			httptest.NewRequest(http.MethodPut, "http://127.0.0.1:7947/v1/tags", strings.NewReader("{}")),
		} {
			if request.Header.Set(header[0], header[1]); header[0] == "Host" {
				request.Host = header[1]
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, request)
			if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "urn:rollcall:problem:cross-site") {
				t.Errorf("%s, %s %s: %d %s", name, request.Method, request.URL.Path, w.Code, w.Body)
			}
		}
	}
}
