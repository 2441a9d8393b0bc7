package swim

import (
	"encoding/binary"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func drawClaim(t *rapid.T) claim {
	return claim{
		rapid.OneOf(rapid.Uint64Range(1, 3), rapid.Uint64Range(1, IncarnationMax-1)).Draw(t, "incarnation"),
		State(rapid.IntRange(int(Alive), int(Left)).Draw(t, "state")),
	}
}

// merge keeps the claim that overrides the other, as a view does.
func merge(a, b claim) claim {
	if b.overrides(a) {
		return b
	}
	return a
}

// TestClaimMergeLaws: overrides is a strict total order, so merge is commutative, associative and idempotent
// (requirements 1.2).
func TestClaimMergeLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawClaim(t), drawClaim(t), drawClaim(t)
		switch {
		case a.overrides(a):
			t.Fatalf("%v overrides itself", a)
		case a != b && a.overrides(b) == b.overrides(a):
			t.Fatalf("%v and %v have no order", a, b)
		case a.overrides(b) && b.overrides(c) && !a.overrides(c):
			t.Fatalf("%v over %v over %v, and not %v over %v", a, b, c, a, c)
		case merge(a, b) != merge(b, a):
			t.Fatalf("merge of %v and %v depends on their order", a, b)
		case merge(merge(a, b), c) != merge(a, merge(b, c)):
			t.Fatalf("merge of %v, %v and %v depends on how they are grouped", a, b, c)
		case merge(a, a) != a:
			t.Fatalf("%v merged with itself is %v", a, merge(a, a))
		}
	})
}

func TestClaimOrder(t *testing.T) {
	rising := []claim{{1, Alive}, {1, Suspect}, {1, Failed}, {1, Left}, {2, Alive}, {2, Left}, {IncarnationMax - 1, Alive}}
	for i, a := range rising {
		for j, b := range rising {
			if a.overrides(b) != (i > j) {
				t.Errorf("%v over %v: %v", a, b, a.overrides(b))
			}
		}
	}
}

// drawNews is an update about one of a few members, this one left out, as an encoder writes it: with the address.
func drawNews(t *rapid.T) *member {
	id := fmt.Sprintf("n%d", rapid.IntRange(2, 4).Draw(t, "about"))
	s := State(rapid.IntRange(int(Alive), int(Left)).Draw(t, "state"))
	accusers := rapid.SliceOfNDistinct(rapid.SampledFrom([]ID{"n2", "n3", "n4", "n5"}), 1, 4, rapid.ID[ID]).Draw(t, "accusers")
	if s == Failed {
		accusers = []ID{"n97", "n98", "n99"} // a quorum of any cluster: without one a verdict is taken for an accusation
	}
	return row(id, s, rapid.Uint64Range(1, 3).Draw(t, "incarnation"), accusers...)
}

func viewOf(n *Node) map[ID]claim {
	view := make(map[ID]claim)
	for _, m := range n.Members(nil) {
		view[m.ID] = claim{m.Incarnation, m.State}
	}
	return view
}

// TestViewMerge: whatever the order in which a set of updates arrives, however often and in however many packets, a view
// ends with the greatest claim about each member. No timer comes in between, and the receiver has heard nobody itself;
// else a verdict waits for its own probe.
func TestViewMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		news := rapid.SliceOfN(rapid.Custom(drawNews), 1, 12).Draw(t, "news")
		want := map[ID]claim{"n1": {1, Alive}}
		for _, m := range news {
			if m.claim().overrides(want[m.id]) {
				want[m.id] = m.claim()
			}
		}
		order := rapid.Permutation(append(news, rapid.SliceOf(rapid.SampledFrom(news)).Draw(t, "again")...)).Draw(t, "order")
		n := newViewNode(t)
		for len(order) > 0 {
			size := rapid.IntRange(1, min(len(order), 5)).Draw(t, "packet")
			n.Step(testEpoch, Datagram("n9", testAddr(9), gossipOf(order[:size]...)))
			order = order[size:]
		}
		got := viewOf(n)
		for id := range got {
			if got[id] != want[id] {
				t.Fatalf("%s: holds %+v, want %+v", id, got[id], want[id])
			}
		}
		if len(got) != len(want) || n.Counters().Malformed != 0 {
			t.Fatalf("holds %+v, want %+v", got, want)
		}
		checkNode(t, n)
	})
}

func newViewNode(t fataler) *Node {
	n, err := New(Config{ID: "n1", Addr: testAddr(1)}, testEpoch)
	if err != nil {
		t.Fatalf("%v", err)
	}
	n.Step(testEpoch, Tick())
	return n
}

// TestI6FinalForItsIncarnation: after Failed nothing but Left, and after Left nothing at all, changes a member at its
// incarnation, nor at a lower one.
func TestI6FinalForItsIncarnation(t *testing.T) {
	for _, final := range []State{Failed, Left} {
		n := newViewNode(t)
		n.Step(testEpoch, Datagram("n9", testAddr(9), gossipOf(row("n2", Alive, 5))))
		n.Step(testEpoch, Datagram("n9", testAddr(9), gossipOf(row("n2", final, 5, "n3"))))
		for s := Alive; s <= final; s++ {
			for _, incarnation := range []uint64{1, 4, 5} {
				n.Step(testEpoch, Datagram("n2", testAddr(2), gossipOf(row("n2", s, incarnation, "n3"))))
				n.Step(testEpoch, ExchangeReply("n2", testAddr(2), seedState(row("n2", s, incarnation, "n3"))))
			}
		}
		if got := viewOf(n)["n2"]; got != (claim{5, final}) {
			t.Errorf("%v at 5 became %+v", final, got)
		}
		n.Step(testEpoch, Datagram("n9", testAddr(9), gossipOf(row("n2", Alive, 6))))
		if got := viewOf(n)["n2"]; got != (claim{6, Alive}) {
			t.Errorf("alive at 6 did not override %v at 5: %+v", final, got)
		}
	}
}

func seedState(rows ...*member) []byte {
	b := binary.AppendUvarint([]byte{wireVersion}, uint64(len(rows)))
	for _, r := range rows {
		b = (*Node)(nil).appendUpdate(b, r)
	}
	return b
}

// TestI7OnlyTheOwnerRaises: claims about oneself are answered one above; nobody else's incarnation is ever invented.
func TestI7OnlyTheOwnerRaises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newViewNode(t)
		highest := map[ID]uint64{"n1": 1}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			m := drawNews(t)
			if rapid.Bool().Draw(t, "self") {
				m.id = "n1"
			}
			own := n.Self().Incarnation
			n.Step(testEpoch, Datagram("n9", testAddr(9), gossipOf(m)))
			highest[m.id] = max(highest[m.id], m.incarnation)
			if after := n.Self().Incarnation; after < own || after > max(own, m.incarnation+1) || m.id != "n1" && after != own {
				t.Fatalf("%s is %v at %d: the own incarnation went from %d to %d", m.id, m.state, m.incarnation, own, after)
			}
			if self := n.Self(); self.State != Alive || m.id == "n1" && m.state != Alive && self.Incarnation <= m.incarnation {
				t.Fatalf("%v at %d about oneself left %v at %d", m.state, m.incarnation, self.State, self.Incarnation)
			}
		}
		for id, h := range viewOf(n) {
			if id != "n1" && h.incarnation > highest[id] {
				t.Fatalf("%s has incarnation %d, and %d is the highest ever claimed", id, h.incarnation, highest[id])
			}
		}
	})
}

// TestIncarnationMax: at the maximum a raise is refused, and nothing wraps.
func TestIncarnationMax(t *testing.T) {
	n := newViewNode(t)
	n.Step(testEpoch, ExchangeReply("n9", testAddr(9), seedState(row("n9", Alive, 1))))
	n.Step(testEpoch, Rise(IncarnationMax-3))
	if got := n.Self().Incarnation; got != IncarnationMax-2 {
		t.Fatalf("incarnation %d", got)
	}
	n.Step(testEpoch, SetTags(Tags{{"a", "1"}}))
	if got := n.Self().Incarnation; got != IncarnationMax-1 {
		t.Fatalf("incarnation %d", got)
	}
	n.Step(testEpoch, SetTags(Tags{{"a", "2"}}))
	n.Step(testEpoch, Rise(IncarnationMax-1))
	n.Step(testEpoch, Rise(IncarnationMax))
	n.Step(testEpoch, Rise(IncarnationMax+1))
	n.Step(testEpoch, Datagram("n9", testAddr(9), gossipOf(row("n1", Suspect, IncarnationMax-1, "n9"))))
	self := n.Self()
	if value, _ := self.Tags.Get("a"); self.Incarnation != IncarnationMax-1 || value != "1" {
		t.Errorf("incarnation %d with tags %v", self.Incarnation, self.Tags)
	}
	if n.Counters().Refutations != 0 {
		t.Error("counted a refutation that was not made")
	}
	if _, err := New(Config{ID: "n1", Addr: testAddr(1), Incarnation: IncarnationMax}, testEpoch); err == nil {
		t.Error("started above the maximum")
	}
}
