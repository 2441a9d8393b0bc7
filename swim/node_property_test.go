package swim

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestNodeInvariants steps a Node with anything at any time, by peers that keep no rule of the protocol, and holds what
// must be true of one member's view whatever the others do: I6 and I7 for every row, I8 for its own verdicts, I15, and that
// what it reports adds up to what it holds. A second Node gets the same and must do the same.
func TestNodeInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{
			ID: "n1", Addr: testAddr(1), Seed: rapid.Uint64().Draw(t, "seed"),
			Strategy: Strategy(rapid.IntRange(0, 1).Draw(t, "strategy")),
			Rings:    rapid.SampledFrom([]int{1, 8}).Draw(t, "rings"),
		}
		w := &witness{now: testEpoch, rows: make(map[ID]Member)}
		for i := range w.nodes {
			n, err := New(cfg, testEpoch)
			if err != nil {
				t.Fatal(err)
			}
			w.nodes[i] = n
		}
		w.step(t, Tick())
		var formed []*member
		for i := 2; i <= rapid.IntRange(1, 7).Draw(t, "members"); i++ {
			formed = append(formed, row(string(nameOf(i)), Alive, 1))
		}
		w.step(t, ExchangeReply("n2", testAddr(2), seedState(formed...)))
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			w.wait(t)
			w.step(t, w.drawInput(t))
		}
	})
}

// witness steps two Nodes alike and keeps what they reported.
type witness struct {
	nodes [2]*Node
	now   time.Time
	rows  map[ID]Member // by the effects
	last  uint32        // number of the last ping or ping-req
	told  ID            // and to whom
}

// wait lets time pass: to the next deadlines, or past them.
func (w *witness) wait(t *rapid.T) {
	switch rapid.IntRange(0, 3).Draw(t, "wait") {
	case 0: // nothing
	case 1:
		for range rapid.IntRange(1, 20).Draw(t, "deadlines") {
			w.now = w.nodes[0].Deadline()
			w.step(t, Tick())
		}
	case 2:
		w.now = w.now.Add(time.Duration(rapid.Int64Range(0, int64(300*time.Millisecond)).Draw(t, "little")))
	case 3:
		w.now = w.now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "long")))
	}
}

func drawPeer(t *rapid.T) Peer {
	i := rapid.IntRange(1, 9).Draw(t, "from")
	return Peer{nameOf(i), testAddr(i)}
}

// drawClaims are updates about members, this one and strangers.
func drawClaims(t *rapid.T) (rows []*member) {
	for range rapid.IntRange(0, 4).Draw(t, "claims") {
		m := drawNews(t)
		m.id = nameOf(rapid.IntRange(1, 9).Draw(t, "about"))
		m.incarnation = rapid.OneOf(rapid.Uint64Range(1, 4), rapid.Uint64Range(1, IncarnationMax-1)).Draw(t, "incarnation")
		if m.state == Alive {
			m.place = placeOf(testAddr(rapid.IntRange(1, 3).Draw(t, "addr")))
			m.setTags(drawTags(t))
		}
		rows = append(rows, m)
	}
	return rows
}

func (w *witness) drawInput(t *rapid.T) Input {
	from := drawPeer(t)
	switch rapid.IntRange(0, 11).Draw(t, "input") {
	case 0:
		return ExchangeRequest(from.ID, from.Addr, seedState(drawClaims(t)...), 1)
	case 1:
		return ExchangeReply(from.ID, from.Addr, seedState(drawClaims(t)...))
	case 2:
		return PeerDown(from.ID, from.Addr, Down(rapid.IntRange(0, 4).Draw(t, "how")))
	case 3:
		return rapid.SampledFrom([]Input{
			Tick(), Join(from.Addr, 3), SetTags(Tags{{"a", "b"}}), SetTags(nil), Rise(3), Rise(IncarnationMax), Leave(),
			Datagram(from.ID, from.Addr, []byte("junk")), ExchangeRequest(from.ID, from.Addr, nil, 2),
		}).Draw(t, "command")
	case 4:
		m := drawNews(t)
		return FromLog(&LogClaim{ID: nameOf(rapid.IntRange(1, 9).Draw(t, "about")), Addr: m.addr(), Incarnation: m.incarnation,
			State: m.state, Accusers: []ID{"n2", "n3"}})
	}
	msg := message{typ: messageType(rapid.IntRange(int(messagePing), int(messageGossip)).Draw(t, "type"))}
	if msg.typ != messageGossip {
		msg.seq = rapid.Uint32Range(0, 50).Draw(t, "seq")
	}
	switch msg.typ {
	case messagePing, messageAck:
		msg.incarnation, msg.digest = 1, rapid.SampledFrom([]uint64{1, w.nodes[0].Digest()}).Draw(t, "digest")
	case messagePingReq:
		msg.target, msg.waitMS = drawPeer(t), rapid.Uint64Range(0, 500).Draw(t, "wait")
	}
	switch msg.typ {
	case messagePing:
		msg.flags = rapid.SampledFrom([]uint8{0, flagRegular, flagRegular, 0xff}).Draw(t, "flags")
	case messageAck:
		msg.dueMS = rapid.SampledFrom([]uint64{0, 1, 8000, 1 << 63}).Draw(t, "due")
	}
	if (msg.typ == messageAck || msg.typ == messageNack) && rapid.Bool().Draw(t, "fits") {
		msg.seq = w.last
		if w.told != "" && msg.typ == messageAck {
			from.ID = w.told
		}
	}
	b := appendMessage(nil, &msg)
	for _, m := range drawClaims(t) {
		if whole := (*Node)(nil).appendUpdate(b, m); len(whole) <= DatagramMax {
			b = whole
		}
	}
	return Datagram(from.ID, from.Addr, b)
}

func (w *witness) step(t *rapid.T, in Input) {
	n := w.nodes[0]
	before := viewOf(n)
	effects := n.Step(w.now, in)
	if twin := w.nodes[1].Step(w.now, in); !reflect.DeepEqual(effects, twin) {
		t.Fatalf("the same seed and inputs gave %+v and %+v", effects, twin)
	}
	for _, e := range effects {
		w.take(t, e)
		if e.Kind == EffectTransition && e.Transition.Kind == TransitionFailed && e.Transition.Evidence.Reason == ReasonTimeOver {
			w.checkVerdict(t, e.Transition)
		}
	}
	checkNode(t, n)
	if !n.Deadline().After(w.now) {
		t.Fatalf("stepped at %v, and due at %v", w.now, n.Deadline())
	}
	after := viewOf(n)
	for id, old := range before {
		now, ok := after[id]
		if ok && old != now && !now.overrides(old) {
			t.Fatalf("%s went from %v to %v", id, old, now) // I6
		}
		if !ok && old.state != Left {
			t.Fatalf("%s was %v and is forgotten", id, old.state)
		}
	}
	if len(after) != len(w.rows) {
		t.Fatalf("holds %v, reported %v", after, w.rows)
	}
	for _, m := range n.Members(nil) {
		if !reflect.DeepEqual(m, w.rows[m.ID]) {
			t.Fatalf("holds %+v, reported %+v", m, w.rows[m.ID])
		}
	}
}

func (w *witness) take(t *rapid.T, e Effect) {
	switch e.Kind {
	case EffectMember:
		w.rows[e.Member.ID] = e.Member
	case EffectForget:
		delete(w.rows, e.Member.ID)
	case EffectSend:
		var msg message
		if err := decodeMessage(e.Data, &msg); err != nil || e.To.ID == "n1" {
			t.Fatalf("sent %x to %s: %v", e.Data, e.To.ID, err)
		}
		if msg.typ == messagePing || msg.typ == messagePingReq {
			w.last, w.told = msg.seq, e.To.ID
		}
	case EffectTransition:
		// I7: what is said of oneself is said by oneself, and of nobody else is an incarnation made up.
		tr := e.Transition
		raises := tr.Kind == TransitionJoined || tr.Kind == TransitionRefuted || tr.Kind == TransitionTagged || tr.Kind == TransitionLeft
		if raises && tr.Own != (tr.Subject == "n1") {
			t.Fatalf("reported %+v", tr)
		}
	}
}

// checkVerdict: a verdict of one's own names a quorum of distinct accusers, the subject not among them (I8).
func (w *witness) checkVerdict(t *rapid.T, tr *Transition) {
	var ids []ID
	for _, a := range tr.Evidence.Accusers {
		ids = append(ids, a.ID)
	}
	slices.Sort(ids)
	if len(slices.Compact(slices.Clone(ids))) != len(ids) || slices.Contains(ids, tr.Subject) {
		t.Fatalf("%s failed on the word of %v", tr.Subject, ids)
	}
	live := 1 // the subject, until now
	for _, m := range w.rows {
		if m.State.Live() {
			live++
		}
	}
	if want := Quorum(live); len(ids) < want {
		t.Fatalf("%s failed on the word of %v: fewer than %d", tr.Subject, ids, want)
	}
}
