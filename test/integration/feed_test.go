package integration

import (
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/natsd"
	"rollcall/test/story"
)

// feed is a NATS server of the test's own, with the log of a story in it that goes on for as long as it is told to.
type feed struct {
	t     *testing.T
	url   string
	log   *jslog.Log
	js    jetstream.JetStream
	story *story.Story
	last  uint64 // events told
}

func newFeed(t *testing.T, nodes int, seed uint64) *feed {
	t.Helper()
	server, err := natsd.Start(t.Context(), natsd.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	f := &feed{t: t, url: server.URL(), story: story.New(story.Config{Cluster: siteCluster, Nodes: nodes, Seed: seed})}
	if f.log, err = jslog.Connect(t.Context(), jslog.Config{URL: f.url, Cluster: siteCluster, Name: "feed", Provision: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.log.Close)
	nc, err := nats.Connect(f.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if f.js, err = jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(1000)); err != nil {
		t.Fatal(err)
	}
	return f
}

// tell appends n events and waits until the server has them.
func (f *feed) tell(n int) {
	f.t.Helper()
	for range n {
		ev := f.story.Next()
		body, err := events.Encode(ev)
		if err != nil {
			f.t.Fatal(err)
		}
		if _, err := f.js.PublishMsgAsync(&nats.Msg{Subject: events.Subject(ev), Data: body}, jetstream.WithStallWait(patience)); err != nil {
			f.t.Fatal(err)
		}
	}
	f.last += uint64(n)
	select {
	case <-f.js.PublishAsyncComplete():
	case <-time.After(patience):
		f.t.Fatalf("the server did not take %d events", n)
	}
}

// tellAt appends n events at a rate a second: a hundred times a second those that are due by then, so that what was held up
// is made up for.
func (f *feed) tellAt(n, rate int) {
	f.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for told := 0; told < n; {
		<-tick.C
		due := min(n, int(time.Since(began).Seconds()*float64(rate)))
		f.tell(due - told)
		told = due
	}
}

// projector starts a process that folds the log. It keeps what it keeps in the directory called data; without one, in NATS.
func (f *feed) projector(name, data string) (p *process, api string) {
	f.t.Helper()
	args := []string{"run", "--cluster", siteCluster, "--nats", f.url, "--http", "127.0.0.1:0", "--log-format", "json", "--snapshot-every", "300"}
	if data == "" {
		args = append(args, "--snapshots", "nats")
	} else {
		args = append(args, "--data", filepath.Clean(data))
	}
	p = launch(f.t, name, "projector", args...)
	return p, "http://" + p.logged("projector is up", "http")
}

// sumAt is the hash that a projector shows, and the position it is of.
func sumAt(api string) (position uint64, sum string, err error) {
	var answer struct {
		Sum struct {
			Position uint64
			SHA256   string
		}
	}
	err = get(api+"/v1/projections", &answer)
	return answer.Sum.Position, answer.Sum.SHA256, err
}

// reached waits until a projector has folded position.
func reached(t *testing.T, api string, position uint64) {
	t.Helper()
	eventually(t, "position "+strconv.FormatUint(position, 10)+" is folded", func() error {
		return get(api+"/v1/nodes/"+story.ID(0)+"?min_position="+strconv.FormatUint(position, 10), &struct{}{})
	})
}
