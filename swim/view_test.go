package swim

import (
	"bytes"
	"testing"
	"time"
)

// TestForgetEndsTheProbe: a row that is dropped while its member is probed leaves nothing to whoever gets its place. A
// member that slept for an hour forgets one that left in the same step in which the probe's time is over.
func TestForgetEndsTheProbe(t *testing.T) {
	n := newNode(t, Config{})
	n.Step(testEpoch, Tick())
	n.Step(testEpoch, ExchangeReply("n2", testAddr(2), seedState(row("n2", Alive, 1), row("n3", Failed, 1, "n2"))))
	gone := n.find("n3")
	n.startProbe(gone, purposeRetry, "")
	n.Step(testEpoch, Datagram("n2", testAddr(2), gossipOf(row("n3", Left, 1))))
	n.Step(testEpoch.Add(2*leftKept), Datagram("n2", testAddr(2), gossipOf(row("n2", Alive, 2))))
	if n.find("n3") != nil {
		t.Fatal("n3 is still remembered")
	}
	n.Step(testEpoch.Add(2*leftKept), Datagram("n2", testAddr(2), gossipOf(row("n4", Left, 1))))
	if n.find("n4").ref != gone.ref {
		t.Fatal("the newcomer has another place")
	}
	for range 50 {
		n.Step(n.Deadline().Add(time.Millisecond), Tick())
	}
	checkNode(t, n)
}

// TestI15AFullViewStaysFull: past its bound a view takes a newcomer in place of the member that has been failed or gone for
// longest, or not at all; it counts each, and goes on believing what it hears of those that it holds. What it tells is taken whole.
func TestI15AFullViewStaysFull(t *testing.T) {
	n := newNode(t, Config{})
	n.Step(testEpoch, Tick())
	const gone = 2
	var rows []*member
	for i := 2; i <= viewMax-gone; i++ {
		rows = append(rows, row(string(nameOf(i)), Alive, 1))
	}
	now := testEpoch
	hear := func(m *member) (forgot []ID) {
		t.Helper()
		now = now.Add(time.Millisecond)
		for _, e := range n.Step(now, Datagram("n2", testAddr(2), gossipOf(m))) {
			if e.Kind == EffectForget {
				forgot = append(forgot, e.Member.ID)
			}
		}
		return forgot
	}
	want := func(holds, lacks ID, full uint64, members int) {
		t.Helper()
		if n.find(holds) == nil || n.find(lacks) != nil || n.Counters().ViewFull != full || n.refs.live != members {
			t.Errorf("holds %s: %v, holds %s: %v, was full %d times, has %d members; want the first alone, %d and %d", holds,
				n.find(holds) != nil, lacks, n.find(lacks) != nil, n.Counters().ViewFull, n.refs.live, full, members)
		}
		checkNode(t, n)
	}
	n.Step(now, ExchangeReply("n2", testAddr(2), seedState(rows...)))
	hear(row("left", Left, 1))
	hear(row("dead", Failed, 1, "n2", "n3", "n4"))
	want("dead", "late1", 0, viewMax)

	for _, c := range []struct{ comes, goes ID }{{"late1", "left"}, {"late2", "dead"}} {
		if forgot := hear(row(string(c.comes), Alive, 1)); len(forgot) != 1 || forgot[0] != c.goes {
			t.Errorf("for %s it forgot %v, want %s", c.comes, forgot, c.goes)
		}
	}
	want("late2", "dead", 2, viewMax)
	hear(row("late3", Alive, 1))
	want("n2", "late3", 3, viewMax)
	hear(row("n7", Left, 1))
	hear(row("late3", Alive, 1))
	want("late3", "n7", 4, viewMax)

	block := n.appendState(nil)
	if _, ok := stateBody(block); !ok {
		t.Errorf("a state of %d bytes that nobody takes", len(block))
	}
	cfg := Config{ID: "other", Addr: testAddr(9)}
	other, err := New(cfg, testEpoch)
	if err != nil {
		t.Fatal(err)
	}
	other.Step(testEpoch, ExchangeReply("n1", testAddr(1), block))
	checkNode(t, other)
	if c := other.Counters(); c.Malformed != 0 || c.ViewFull != 1 || other.Live() != viewMax {
		t.Errorf("the other took %d members, ignored %d, %d blocks malformed; want %d, itself among them", other.Live(), c.ViewFull,
			c.Malformed, viewMax)
	}
	_, body, _ := bytes.Cut(block, appendCount(nil, viewMax))
	over := append(appendCount([]byte{wireVersion}, viewMax+1), n.appendUpdate(body, row("one_more", Alive, 1))...)
	if _, ok := stateBody(over); ok {
		t.Error("a state of more members than a view holds is taken")
	}
}
