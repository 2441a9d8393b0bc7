package projections_test

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/projections"
)

// tale folds events one after the other.
type tale struct {
	*projections.Views
	position uint64
}

func (l *tale) say(kind events.Kind, node, author string, incarnation uint64) {
	l.position++
	l.Apply(events.Recorded{Position: l.position, Event: events.Event{
		ID: fmt.Sprint(l.position), Kind: kind, Cluster: "test", Node: node, Author: author, Incarnation: incarnation,
		Time: time.Date(2026, 3, 1, 12, 0, int(l.position), 0, time.UTC),
	}})
}

func (l *tale) garble(node, why string) {
	l.position++
	l.Reject(&events.DecodeError{
		Position: l.position, Subject: "rollcall.test.node." + node + "." + node + ".tagged", Err: errors.New(why),
	})
}

func (l *tale) node(t *testing.T, id string) *projections.Node {
	t.Helper()
	n, ok := l.Registry.Node(id)
	if !ok {
		t.Fatalf("%s is not there", id)
	}
	return n
}

// A row whose event cannot be read follows what can be, says why it may not be true, and is nobody's to call until that event
// is skipped (I12).
func TestUnreadableEventParksItsNode(t *testing.T) {
	views := &tale{Views: projections.New("test")}
	for _, id := range []string{"n1", "n2", "n3"} {
		views.say(events.Joined, id, id, 1)
	}
	views.garble("n3", "not JSON")
	views.garble("n3", "not JSON either")
	views.say(events.Left, "n3", "n3", 1)
	views.say(events.Joined, "n4", "n4", 1)

	want := projections.Parked{Position: 4, Last: 5, Events: 2, Reason: "not JSON", State: events.StateAlive}
	if n := views.node(t, "n3"); n.Parked == nil || *n.Parked != want || n.State != events.StateLeft || n.Rejected != 2 {
		t.Errorf("n3: %+v, parked %+v", n, n.Parked)
	}
	if n := views.node(t, "n4"); n.Parked != nil || n.State != events.StateAlive {
		t.Errorf("n4: %+v", n)
	}
	var anybody projections.Selector
	if got := fmt.Sprint(idsOf(views.Registry.Select(anybody))); got != "[n1 n2 n4]" {
		t.Errorf("services: %s", got)
	}
	if got := idsOf(views.Registry.Parked()); len(got) != 1 || got[0] != "n3" {
		t.Errorf("parked: %v", got)
	}
	if views.Live() != 3 {
		t.Errorf("%d live: the fold itself does not wait", views.Live())
	}

	if err := views.Skip("n1"); !errors.Is(err, projections.ErrNotParked) {
		t.Errorf("skip n1: %v", err)
	}
	if err := views.Skip("n3"); err != nil {
		t.Fatal(err)
	}
	if n := views.node(t, "n3"); n.Parked != nil || n.State != events.StateLeft || n.Rejected != 2 || n.SincePosition != 6 {
		t.Errorf("n3 after the skip: %+v", n)
	}
	views.garble("n3", "again")
	if n := views.node(t, "n3"); n.Parked == nil || n.Parked.Position != 8 {
		t.Errorf("n3 after another: %+v", n)
	}
}

// What was skipped stays skipped: after a restart, and in a fold from the start. It is no part of the sums: two folds of one
// log have the same, whatever was skipped in either (I9).
func TestSkipsOutliveTheFold(t *testing.T) {
	tell := func(views *tale) {
		views.say(events.Joined, "n1", "n1", 1)
		views.garble("n1", "not JSON")
		views.say(events.Tagged, "n1", "n1", 2)
	}
	live := &tale{Views: projections.New("test")}
	tell(live)
	if err := live.Skip("n1"); err != nil {
		t.Fatal(err)
	}
	again := &tale{Views: projections.New("test")}
	for node, position := range live.Skipped() {
		again.SkipThrough(node, position)
	}
	tell(again)
	if string(again.Encode()) != string(live.Encode()) {
		t.Error("a fold that skips from the start differs from one that skipped afterwards")
	}
	unskipped := &tale{Views: projections.New("test")}
	tell(unskipped)
	if !maps.Equal(unskipped.Sums(), live.Sums()) {
		t.Error("a skip changed a sum")
	}
	restored, err := projections.Decode("test", live.Encode())
	if err != nil || fmt.Sprint(restored.Skipped()) != "map[n1:2]" {
		t.Errorf("restored: %v, %v", restored.Skipped(), err)
	}
}

// I15: what others write of ids that nobody has leaves no row; what an id itself writes does, for it may be how it joined.
func TestI15UnreadableWordsOfOthersMakeNoRow(t *testing.T) {
	views := projections.New("test")
	for i, subject := range []string{"rollcall.test.node.n8.n1.suspected", "rollcall.test.node.n9.n9.joined"} {
		views.Reject(&events.DecodeError{Position: uint64(i + 1), Subject: subject, Err: errors.New("not JSON")})
	}
	if got := fmt.Sprint(idsOf(views.Registry.Nodes())); got != "[n9]" {
		t.Errorf("rows of %s, want [n9]", got)
	}
	if _, total := views.Rejected(); total != 2 {
		t.Errorf("%d rejected, want 2", total)
	}
	if _, err := projections.Decode("test", views.Encode()); err != nil {
		t.Error(err)
	}
}

// I12: a crash is seen although something said of the node before cannot be read.
func TestI12ParkedNodeThatCrashesIsFailed(t *testing.T) {
	views := &tale{Views: projections.New("test")}
	for _, id := range []string{"n1", "n2", "n3"} {
		views.say(events.Joined, id, id, 1)
	}
	views.garble("n3", "not JSON")
	views.say(events.Suspected, "n3", "n1", 1)
	views.say(events.Accused, "n3", "n2", 1)
	views.say(events.Failed, "n3", "n1", 1)
	if n := views.node(t, "n3"); n.State != events.StateFailed || n.Parked == nil || n.Parked.State != events.StateAlive {
		t.Errorf("n3: %v, parked %+v", n.State, n.Parked)
	}
	if got := fmt.Sprint(idsOf(views.Registry.Select(projections.Selector{}, events.StateFailed))); got != "[n3]" {
		t.Errorf("failed: %s", got)
	}
}

func idsOf(nodes []*projections.Node) (ids []string) {
	for _, n := range nodes {
		ids = append(ids, n.ID)
	}
	return ids
}
