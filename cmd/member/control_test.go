package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"rollcall"
	"rollcall/events/memlog"
	"rollcall/infra/certs"
	"rollcall/infra/cli"
	"rollcall/swim"
)

// lone is a member by itself, with role=web, and what it serves.
func lone(t *testing.T) (*rollcall.Member, http.Handler) {
	t.Helper()
	return newFamily(t).member("n1", func(*rollcall.Options) {})
}

// family is members in this process that trust each other.
type family struct {
	t   *testing.T
	ca  *certs.CA
	log *memlog.Log
}

func newFamily(t *testing.T) *family {
	t.Helper()
	ca, err := certs.NewCA("test", time.Now(), 2*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return &family{t: t, ca: ca, log: memlog.New("test")}
}

// member starts one with role=web, and returns what it serves.
func (f *family) member(id string, change func(*rollcall.Options)) (*rollcall.Member, http.Handler) {
	f.t.Helper()
	identity, err := f.ca.Identity(id, time.Now(), time.Hour)
	if err != nil {
		f.t.Fatal(err)
	}
	opt := rollcall.Options{
		Cluster: "test", ID: id, Bind: netip.MustParseAddrPort("127.0.0.1:0"), Credentials: identity,
		Log: f.log, Dir: f.t.TempDir(), Tags: map[string]string{"role": "web"},
	}
	change(&opt)
	member, err := rollcall.Join(f.t.Context(), opt)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { member.Close() })
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
	deadline := time.After(patience)
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

// What 200 says is on disk; who has not joined has nothing to say yet.
func TestTagsBeforeJoining(t *testing.T) {
	member, handler := newFamily(t).member("n1", func(o *rollcall.Options) {
		o.Seeds = []string{"127.0.0.1:9"}
	})
	code, answer := askTags(t.Context(), handler, http.MethodPost, `{"set":{"zone":"a"}}`)
	if want := `{"id":"n1","tags":{"role":"web","zone":"a"}}`; code != http.StatusAccepted || answer != want {
		t.Errorf("%d %s, want 202 %s", code, answer, want)
	}
	if tags := member.Status().Self.Tags.Map(); tags["zone"] != "a" {
		t.Errorf("the member has %v", tags)
	}
}

// Whom nobody has let in yet takes no traffic, and no more does a read-only member on the smaller side of a partition; a
// mass failure looks the same from inside.
func TestNotReady(t *testing.T) {
	ask := func(handler http.Handler) (int, string) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:7947/readyz", nil))
		return w.Code, w.Body.String()
	}
	_, stranger := newFamily(t).member("n1", func(o *rollcall.Options) { o.Seeds = []string{"127.0.0.1:9"} })
	if code, why := ask(stranger); code != http.StatusServiceUnavailable || !strings.Contains(why, "no seed") {
		t.Errorf("whom nobody let in: %d %s", code, why)
	}

	f := newFamily(t)
	n1, served := f.member("n1", func(o *rollcall.Options) {
		o.OnMinority = rollcall.MinorityReadOnly
		o.Protocol = swim.Config{ProtocolPeriod: 200 * time.Millisecond, AckTimeout: 200 * time.Millisecond, IndirectTimeout: 200 * time.Millisecond}
	})
	var others []*rollcall.Member
	for _, id := range []string{"n2", "n3"} {
		m, _ := f.member(id, func(o *rollcall.Options) { o.Seeds = []string{n1.Addr().String()} })
		<-m.Joined()
		others = append(others, m)
	}
	for _, m := range others {
		if err := m.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.After(patience)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		if n1.ReadOnly() != nil {
			break
		}
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("n1 reaches nobody, and is not read-only: %v", n1.Status().Partition)
		}
	}
	if code, why := ask(served); code != http.StatusServiceUnavailable || !strings.Contains(why, "read-only") {
		t.Errorf("in the minority: %d %s", code, why)
	}
}

// A member whose log is no longer the one it read is not ready and says so, to people and in a metric; a restart is the answer.
func TestNotReadyWithoutItsLog(t *testing.T) {
	f := newFamily(t)
	member, handler := f.member("n1", func(*rollcall.Options) {})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := member.Drained(ctx); err != nil {
		t.Fatal(err)
	}
	if err := notReady(member, member.Status()); err != nil {
		t.Fatalf("with its log: %v", err)
	}
	f.log.Replace()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for member.Status().Recorder.Ended == nil {
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatal("it does not notice")
		}
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1:7947/readyz", nil))
	if answer := w.Body.String(); w.Code != http.StatusServiceUnavailable || !strings.Contains(answer, "the log was replaced") {
		t.Errorf("/readyz: %d %s", w.Code, answer)
	}
	for _, figure := range memberFigures {
		if figure.name == "rollcall.log.ended" && figure.value(member.Status()) != 1 {
			t.Error("the metric does not say so")
		}
	}
}

// A member that was told to leave has left when nobody listens there any more: an answer that refuses is none of that, nor is silence.
func TestLeaveWaitsUntilNobodyListens(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter, asked context.Context){
		"overloaded": func(w http.ResponseWriter, _ context.Context) { w.WriteHeader(http.StatusServiceUnavailable) },
		"silent":     func(_ http.ResponseWriter, asked context.Context) { <-asked.Done() },
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the server would not notice that who asks is gone
			if r.Method == http.MethodPost {
				_, _ = w.Write([]byte(`{"id":"n1"}`))
				return
			}
			answer(w, r.Context())
		}))
		var stdout, stderr bytes.Buffer
		leave := []string{"leave", "--http", server.Listener.Addr().String(), "--timeout", "300ms"}
		if status := cli.Run(t.Context(), newRoot(), leave, &stdout, &stderr); status != cli.ExitTimeout || stdout.Len() > 0 {
			t.Errorf("%s: status %d: %s%s", name, status, stdout.String(), stderr.String())
		}
		server.Close()
	}
}
