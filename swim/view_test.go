package swim

import (
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
