package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"rollcall/events"
	"rollcall/infra/cli"
)

// A state that comes later is waited for, and so is a node that the log does not name yet.
func TestWaitSeesWhatComes(t *testing.T) {
	log, api := serve(t, story())
	for _, tc := range []struct{ node, state string }{{"n4", "alive"}, {"n4", "left"}} {
		p := start(t, "wait", "--api", api, "--node", tc.node, "--state", tc.state, "--timeout", "1m", "-o", "name")
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

// A node that comes between two of its questions is found: the first answer says that there is none, the second where to go on.
func TestWaitSeesWhatComesMeanwhile(t *testing.T) {
	log, api := serve(t, story())
	behind, err := url.Parse(api)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(behind) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy.ServeHTTP(w, r)
		if r.URL.Path != "/livez" {
			return
		}
		ev := story()[0] // the answer is not sent yet
		ev.ID, ev.Node, ev.Author = events.NewID(), "n4", "n4"
		position, err := log.Append(r.Context(), ev, 0)
		if err != nil {
			t.Error(err)
		}
		folded, err := http.Get(api + "/v1/nodes?min_position=" + strconv.FormatUint(position, 10))
		if err != nil {
			t.Error(err)
			return
		}
		folded.Body.Close()
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	var stdout, stderr bytes.Buffer
	if status := cli.Run(t.Context(), newRoot(), []string{
		"wait", "n4", "--api", server.URL, "--timeout", "1m", "-o", "name",
	}, &stdout, &stderr); status != cli.ExitOK || stdout.String() != "n4\n" {
		t.Errorf("status %d, %q, %s", status, stdout.String(), stderr.String())
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
