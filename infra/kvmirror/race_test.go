package kvmirror

import (
	"encoding/json"
	"testing"

	"github.com/nats-io/nats.go"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/infra/natsd"
	"rollcall/projections"
	"rollcall/projections/projector"
)

// What another projector wrote between our reading a value and our writing it stays, if it is newer.
func TestWriteThatComesTooLate(t *testing.T) {
	server, err := natsd.Start(t.Context(), natsd.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	conn, err := nats.Connect("", nats.InProcessServer(server))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	p, err := projector.Open(projector.Config{Log: memlog.New("test"), Cluster: "test"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(Config{Projector: p, Conn: func() *nats.Conn { return conn }})
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := m.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]uint64{"nothing-there": 0, "something-there": 1} {
		revision := uint64(0)
		if read > 0 {
			if revision, err = bucket.PutString(t.Context(), name, "what was read"); err != nil {
				t.Fatal(err)
			}
		}
		m.written = map[string]mark{name: {revision: revision}}
		if _, err := bucket.PutString(t.Context(), name, `{"id":"`+name+`","position":5}`); err != nil {
			t.Fatal(err)
		}
		if err := m.put(t.Context(), bucket, &projections.Node{Node: events.Node{ID: name, State: events.StateAlive, LastPosition: 3}}); err != nil {
			t.Fatal(err)
		}
		entry, err := bucket.Get(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		var n Node
		if err := json.Unmarshal(entry.Value(), &n); err != nil || n.Position != 5 {
			t.Errorf("%s: position %d, %v; want 5", name, n.Position, err)
		}
	}
}
