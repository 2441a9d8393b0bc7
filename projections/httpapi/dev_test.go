package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"rollcall/projections/httpapi"
)

// stage is a development cluster that only writes down what it is told.
type stage struct {
	mu   sync.Mutex
	done []string
}

func (s *stage) Do(_ context.Context, id, action string) error {
	switch {
	case id == "n9":
		return fmt.Errorf("%w: %s", httpapi.ErrUnknownNode, id)
	case action == "restart":
		return fmt.Errorf("%w: %s is running; crash it first", httpapi.ErrWrongState, id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, id+" "+action)
	return nil
}

func (s *stage) Partition(_ context.Context, groups [][]string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, fmt.Sprint(groups))
	return nil
}

func (s *stage) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.done, ", ")
}

func TestDevActions(t *testing.T) {
	s := &stage{}
	w := newWorld(t, func(c *httpapi.Config) { c.Dev = s })
	for _, tc := range []struct {
		path, body string
		status     int
	}{
		{"/dev/nodes/n3/crash", "", 200},
		{"/dev/nodes/n3/pause", "", 200},
		{"/dev/nodes/n3/resume", "", 200},
		{"/dev/nodes/n3/leave", "", 200},
		{"/dev/nodes/n3/restart", "", 409},
		{"/dev/nodes/n9/crash", "", 404},
		{"/dev/nodes/n3/explode", "", 404},
		{"/dev/nodes/a.b/crash", "", 400},
		{"/dev/partition", `{"groups":[["n1","n2"],["n3"]]}`, 200},
		{"/dev/partition", `{"groups":[]}`, 200},
		{"/dev/partition", `{"groups":[["n1"],["n1"]]}`, 400},
		{"/dev/partition", `{"groups":[["n.1"]]}`, 400},
		{"/dev/partition", `{"grups":[]}`, 400},
		{"/dev/partition", `{"groups":[]}{}`, 400},
		{"/dev/partition", `{"groups":[["` + strings.Repeat("n", 70<<10) + `"]]}`, 413},
	} {
		if r := w.do(http.MethodPost, tc.path, strings.NewReader(tc.body)); r.status != tc.status {
			t.Errorf("%s %.60s: %d %s, want %d", tc.path, tc.body, r.status, r.raw, tc.status)
		}
	}
	if got, want := s.said(), "n3 crash, n3 pause, n3 resume, n3 leave, [[n1 n2] [n3]], []"; got != want {
		t.Errorf("done: %s, want %s", got, want)
	}
	if r := w.get("/dev/nodes/n3/crash"); r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") != "POST" {
		t.Errorf("GET: %d %v", r.status, r.header)
	}
	if r := w.get("/v1/projections"); r.body["dev"] != true {
		t.Errorf("projections: %s", r.raw)
	}
}

// A tab of another site in the same browser reaches loopback, and must not be able to crash a member.
func TestDevRefusesOtherSites(t *testing.T) {
	s := &stage{}
	w := newWorld(t, func(c *httpapi.Config) { c.Dev = s })
	for name, header := range map[string][]string{
		"fetch metadata":       {"Sec-Fetch-Site", "cross-site"},
		"another port":         {"Sec-Fetch-Site", "same-site"},
		"origin":               {"Origin", "https://evil.example"},
		"no origin at all":     {"Origin", "null"},
		"a name made to point": {"Host", "evil.example:8080", "Origin", "http://evil.example:8080", "Sec-Fetch-Site", "same-origin"},
	} {
		r := w.do(http.MethodPost, "/dev/nodes/n3/crash", nil, header...)
		if r.status != http.StatusForbidden || r.body["type"] != "urn:rollcall:problem:cross-site" {
			t.Errorf("%s: %d %s", name, r.status, r.raw)
		}
	}
	if got := s.said(); got != "" {
		t.Fatalf("done: %s", got)
	}
	for name, header := range map[string][]string{
		"the page":     {"Sec-Fetch-Site", "same-origin"},
		"an old page":  {"Origin", w.server.URL},
		"a program":    nil,
		"by localhost": {"Host", "localhost:8080"},
	} {
		if r := w.do(http.MethodPost, "/dev/nodes/n3/crash", nil, header...); r.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, r.status, r.raw)
		}
	}
}
