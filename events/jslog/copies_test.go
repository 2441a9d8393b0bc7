package jslog

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A copy that gets along is nobody's concern, however long it takes; one that does not is named once, and once when it is well.
func TestCopiesThatStayBehind(t *testing.T) {
	var said bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&said, nil))
	all, now := make(copies), time.Now()
	for i, c := range []struct {
		after         time.Duration
		a, b          jetstream.PeerInfo
		behind, lines int
	}{
		{0, jetstream.PeerInfo{Current: true}, jetstream.PeerInfo{Lag: 500}, 0, 0},
		{copyPatience, jetstream.PeerInfo{Current: true}, jetstream.PeerInfo{Lag: 400}, 0, 0},
		{copyPatience - 1, jetstream.PeerInfo{Lag: 3}, jetstream.PeerInfo{Lag: 400}, 0, 0},
		{1, jetstream.PeerInfo{Lag: 2}, jetstream.PeerInfo{Lag: 401}, 1, 1},
		{copyPatience, jetstream.PeerInfo{Current: true, Offline: true}, jetstream.PeerInfo{Lag: 900}, 1, 1},
		{copyPatience, jetstream.PeerInfo{Current: true}, jetstream.PeerInfo{Lag: 5}, 0, 1},
		{copyPatience, jetstream.PeerInfo{Current: true}, jetstream.PeerInfo{Lag: 5}, 1, 1},
		{time.Second, jetstream.PeerInfo{Current: true}, jetstream.PeerInfo{Current: true}, 0, 2},
		{2 * copyPatience, jetstream.PeerInfo{Current: true}, jetstream.PeerInfo{Lag: 1}, 0, 2},
	} {
		now = now.Add(c.after)
		c.a.Name, c.b.Name = "a", "b"
		group := &jetstream.ClusterInfo{Leader: "c", Replicas: []*jetstream.PeerInfo{&c.a, &c.b}}
		if got := all.look(t.Context(), group, now, logger); got != c.behind {
			t.Errorf("look %d: %d copies stay behind, want %d", i, got, c.behind)
		}
		if n := strings.Count(said.String(), "server=b"); n != c.lines || strings.Contains(said.String(), "server=a") {
			t.Errorf("look %d: want %d lines about b, and none about a:\n%s", i, c.lines, said.String())
		}
	}
}

// How a copy stood before its server led the others says nothing of how it stands afterwards; nor that of one that left them.
func TestCopiesOfServersThatLed(t *testing.T) {
	var said bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&said, nil))
	all, now := make(copies), time.Now()
	look := func(leader string, replicas ...*jetstream.PeerInfo) int {
		now = now.Add(copyPatience)
		return all.look(t.Context(), &jetstream.ClusterInfo{Leader: leader, Replicas: replicas}, now, logger)
	}
	whole, behind := &jetstream.PeerInfo{Name: "c", Current: true}, &jetstream.PeerInfo{Name: "b"}
	for i, stuck := range []int{
		look("a", behind, whole),
		look("b", &jetstream.PeerInfo{Name: "a", Current: true}, whole),
		look("a", behind, whole),
		look("a", &jetstream.PeerInfo{Name: "d", Current: true}, whole),
		look("a", behind, whole),
	} {
		if stuck != 0 || said.Len() > 0 {
			t.Errorf("look %d: %d copies stay behind, want none, and no line: %s", i, stuck, said.String())
		}
	}
	look("a", behind, whole)
	look("b", &jetstream.PeerInfo{Name: "a", Current: true}, whole)
	if len(all) > 0 || strings.Count(said.String(), "has caught up") != 1 {
		t.Errorf("one that stayed behind leads: %v is kept; want one line that it has caught up: %s", all, said.String())
	}
}
