package swim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func nameOf(i int) ID { return ID(fmt.Sprintf("n%d", i)) }

// newViews makes a Node for each of ids, which all know each other.
func newViews(t testing.TB, ids []ID, cfg Config) map[ID]*Node {
	t.Helper()
	var rows []*member
	for _, id := range ids {
		rows = append(rows, row(string(id), Alive, 1))
	}
	block := appendCount([]byte{wireVersion}, len(rows))
	for _, r := range rows {
		block = (*Node)(nil).appendUpdate(block, r)
	}
	views := make(map[ID]*Node)
	for _, id := range ids {
		cfg.ID, cfg.Addr = id, rows[0].addr()
		n, err := New(cfg, testEpoch)
		if err != nil {
			t.Fatal(err)
		}
		n.Step(testEpoch, Tick())
		n.Step(testEpoch, ExchangeReply("teacher", testAddr(0), block))
		if n.Live() != len(ids) {
			t.Fatalf("%s knows %d of %d", id, n.Live(), len(ids))
		}
		views[id] = n
	}
	return views
}

func appendCount(b []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

func targetsOf(n *Node) (ids []ID) {
	for _, ref := range n.observed {
		ids = append(ids, n.members[ref].id)
	}
	slices.Sort(ids)
	return ids
}

// successors computes a member's targets from the definition: the next on each ring, all members laid out.
func successors(ids []ID, self ID, rings int) (targets []ID) {
	for i := range rings {
		r := ring{salt: mix(uint64(i) + 1)}
		order := slices.Clone(ids)
		slices.SortFunc(order, func(a, b ID) int {
			if pa, pb := r.place(hashID(a)), r.place(hashID(b)); pa < pb {
				return -1
			} else if pa > pb {
				return 1
			}
			return 0
		})
		next := order[(slices.Index(order, self)+1)%len(order)]
		if !slices.Contains(targets, next) {
			targets = append(targets, next)
		}
	}
	slices.Sort(targets)
	return targets
}

// TestRingTargets: each member observes its successors on K rings, so each has about K observers, none fewer than the
// hash leaves by chance, and every view derives the same observers of a member (detection rule 1).
func TestRingTargets(t *testing.T) {
	var ids []ID
	for i := range 60 {
		ids = append(ids, nameOf(i))
	}
	views := newViews(t, ids, Config{})
	observers := make(map[ID][]ID)
	for _, id := range ids {
		targets := targetsOf(views[id])
		if want := successors(ids, id, RingsDefault); !slices.Equal(targets, want) {
			t.Errorf("%s observes %v, want its successors %v", id, targets, want)
		}
		for _, target := range targets {
			observers[target] = append(observers[target], id)
		}
	}
	for _, id := range ids {
		if got := len(observers[id]); got < RingsDefault-3 || got > RingsDefault {
			t.Errorf("%s has %d observers, want about %d", id, got, RingsDefault)
		}
		asker := views[ids[0]]
		if id == ids[0] {
			continue
		}
		var derived []ID
		for _, ref := range asker.observersOf(asker.find(id)) {
			derived = append(derived, asker.members[ref].id)
		}
		want := slices.DeleteFunc(slices.Clone(observers[id]), func(o ID) bool { return o == ids[0] })
		slices.Sort(derived)
		slices.Sort(want)
		if !slices.Equal(derived, want) {
			t.Errorf("%s takes %v for the observers of %s; they are %v", ids[0], derived, id, want)
		}
	}
}

// TestRingFollowsTheView: after any joins, failures and returns, the targets are those of a view that always was so.
func TestRingFollowsTheView(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newViewNode(t)
		incarnation := make(map[ID]uint64)
		for range rapid.IntRange(1, 80).Draw(t, "changes") {
			id := nameOf(rapid.IntRange(2, 40).Draw(t, "about"))
			s := Alive
			if m := n.find(id); m != nil && m.state.Live() && rapid.Bool().Draw(t, "goes") {
				s = Left
			} else {
				incarnation[id]++
			}
			n.Step(testEpoch, Datagram("n99", testAddr(99), gossipOf(row(string(id), s, incarnation[id]))))
		}
		var live, others []ID
		for _, m := range n.Members(nil) {
			if m.State.Live() {
				live = append(live, m.ID)
				if m.ID != "n1" {
					others = append(others, m.ID)
				}
			}
		}
		want := others // a mesh
		if len(others) > meshFactor*RingsDefault {
			want = successors(live, "n1", RingsDefault)
		}
		slices.Sort(want)
		if got := targetsOf(n); !slices.Equal(got, want) {
			t.Fatalf("among %v it observes %v, want %v", live, got, want)
		}
		checkNode(t, n)
	})
}

// TestObserversSpreadEvenly: each ack tells its observer when to come again, and after a few cycles the probes of a member
// come about a period apart, without two of them at once (detection rule 2).
func TestObserversSpreadEvenly(t *testing.T) {
	var ids []ID
	for i := 1; i <= 40; i++ {
		ids = append(ids, nameOf(i))
	}
	n := newViews(t, ids, Config{})["n1"]
	due := make(map[ID]time.Duration)
	var watchers []ID
	for i, ref := range n.watchers {
		watchers = append(watchers, n.members[ref].id)
		due[watchers[i]] = time.Duration(i) * time.Millisecond // all at once
	}
	observers := len(watchers)
	if observers < RingsDefault-2 {
		t.Fatalf("%d observers of %d members, want about %d", observers, len(ids), RingsDefault)
	}
	var arrivals []time.Duration
	seq := uint32(0)
	for len(arrivals) < observers*8 {
		next := slices.MinFunc(watchers, func(a, b ID) int { return int(due[a] - due[b]) })
		at := due[next]
		arrivals = append(arrivals, at)
		seq++
		ping := appendMessage(nil, &message{typ: messagePing, seq: seq, flags: flagRegular, incarnation: 1, digest: n.digest})
		for _, e := range n.Step(testEpoch.Add(at), Datagram(next, n.find(next).addr(), ping)) {
			var msg message
			if e.Kind == EffectSend && decodeMessage(e.Data, &msg) == nil && msg.typ == messageAck && msg.seq == seq {
				due[next] = at + time.Duration(msg.dueMS)*time.Millisecond
			}
		}
		if wait := due[next] - at; wait < n.leastWait()-time.Millisecond || wait > 2*n.cycle() {
			t.Fatalf("%s is due again in %v, of a cycle of %v", next, wait, n.cycle())
		}
	}
	last := arrivals[len(arrivals)-observers:]
	for i := 1; i < len(last); i++ {
		if gap := last[i] - last[i-1]; (gap - n.cycle()/time.Duration(observers)).Abs() > 50*time.Millisecond {
			t.Errorf("a gap of %v between two probes, want a share of %v", gap, n.cycle())
		}
	}
}

// TestRoundRobinVisitsEverybody: in any 2N − 1 periods in a row each of N others is probed (SWIM, section 4.3).
func TestRoundRobinVisitsEverybody(t *testing.T) {
	const others = 11
	var ids []ID
	for i := 1; i <= others+1; i++ {
		ids = append(ids, nameOf(i))
	}
	n := newViews(t, ids, Config{Strategy: RoundRobin, Seed: 5})["n1"]
	var visits []ID
	for len(visits) < 20*others {
		at := n.Deadline()
		var answers []Input
		for _, e := range n.Step(at, Tick()) {
			var msg message
			if e.Kind != EffectSend || decodeMessage(e.Data, &msg) != nil || msg.typ != messagePing {
				continue
			}
			visits = append(visits, e.To.ID)
			ack := appendMessage(nil, &message{typ: messageAck, seq: msg.seq, incarnation: 1, digest: n.digest})
			answers = append(answers, Datagram(e.To.ID, e.To.Addr, ack))
		}
		for _, in := range answers {
			n.Step(at.Add(time.Millisecond), in)
		}
	}
	for i := range len(visits) - (2*others - 1) {
		seen := make(map[ID]bool)
		for _, id := range visits[i : i+2*others-1] {
			seen[id] = true
		}
		if len(seen) != others {
			t.Fatalf("from period %d on, %d of %d members were probed in %d periods", i, len(seen), others, 2*others-1)
		}
	}
	if missed := n.Counters().Missed; missed != 0 {
		t.Errorf("%d probes missed", missed)
	}
}
