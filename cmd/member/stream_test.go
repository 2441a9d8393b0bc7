package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"rollcall/infra/cli"
)

// another is the answer that the log is not the one that was read before.
const another = "another log"

// scripted answers the nth request for a stream with the nth text and then closes the connection; once there is no text
// left it refuses. It keeps what every request asked to resume after.
type scripted struct {
	answers []string

	mu      sync.Mutex
	resumed []string
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.resumed)
	s.resumed = append(s.resumed, r.Header.Get("Last-Event-ID"))
	if n < len(s.answers) && s.answers[n] == another {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusConflict)
		fmt.Fprintf(w, `{"type":"urn:rollcall:problem:log-replaced","title":"Another","detail":"not %s"}`, r.URL.Query().Get("log"))
		return
	}
	if n >= len(s.answers) || s.answers[n] == "" {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"type":"urn:rollcall:problem:stopped","title":"Stopped","detail":"for a test"}`)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Rollcall-Log", "the log")
	fmt.Fprint(w, s.answers[n])
}

// follow runs client.follow against the script from position 5 on, until position 8 has come.
func (s *scripted) follow(t *testing.T) (got []uint64, progress string, err error) {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c, err := (&question{access: &cli.API{}, api: server.URL, timeout: timeoutDefault}).client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.http.CloseIdleConnections)
	ctx, cancel := context.WithTimeout(t.Context(), timeoutDefault)
	defer cancel()
	var told bytes.Buffer
	err = c.follow(ctx, &told, 5, nil, func(e event) error {
		got = append(got, e.Position)
		if e.Position == 8 {
			return errEnough
		}
		return nil
	})
	return got, told.String(), err
}

func frame(position int) string {
	return fmt.Sprintf("id: %d\nevent: joined\ndata: {\"position\":%d}\n\n", position, position)
}

func TestFollowGoesOnWhereItWas(t *testing.T) {
	s := &scripted{answers: []string{
		"retry: 1000\n: from position 5\n\n" + frame(5) + frame(6) + "id: 7\nevent: joined\ndata: {\"posi", // cut off
		"", // away
		": position 6\n\n" + frame(7) + "event: end\ndata: {\"type\":\"urn:rollcall:problem:too-slow\",\"title\":\"Slow\"}\n\n",
		frame(8),
	}}
	got, progress, err := s.follow(t)
	if !errors.Is(err, errEnough) {
		t.Errorf("error %v", err)
	}
	if want := []uint64{5, 6, 7, 8}; !slices.Equal(got, want) {
		t.Errorf("positions %v, want %v (I10)", got, want)
	}
	if want := []string{"4", "6", "6", "7"}; !slices.Equal(s.resumed, want) {
		t.Errorf("resumed after %q, want %q", s.resumed, want)
	}
	for _, want := range []string{"broke off; trying again", "going on at position 7", "Slow; trying again", "going on at position 8"} {
		if !strings.Contains(progress, want) {
			t.Errorf("progress does not say %q:\n%s", want, progress)
		}
	}
}

func TestFollowEnds(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers []string
		want    int // exit status
	}{
		{"when the first connection is refused", []string{""}, cli.ExitStale},
		{"when history is incomplete", []string{
			frame(5) + "event: end\ndata: {\"type\":\"urn:rollcall:problem:history-incomplete\",\"title\":\"Gone\"}\n\n",
		}, cli.ExitStale},
		{"when an event cannot be read", []string{"data: no JSON\n\n"}, cli.ExitFailed},
		{"when the log is another", []string{frame(5), another}, cli.ExitStale},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &scripted{answers: c.answers}
			_, _, err := s.follow(t)
			if err == nil || cli.ExitCode(err) != c.want {
				t.Errorf("error %v, status %d, want %d", err, cli.ExitCode(err), c.want)
			}
			if c.answers[len(c.answers)-1] == another && !strings.Contains(err.Error(), "not the log") {
				t.Errorf("it did not say which log it had read: %v", err)
			}
			if len(s.resumed) != len(c.answers) {
				t.Errorf("%d requests, want %d", len(s.resumed), len(c.answers))
			}
		})
	}
}
