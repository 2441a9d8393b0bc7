package swim

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// crowd is a node among so many others that most of them are strangers to it, and the others answer pings while up says so.
type crowd struct {
	t    *testing.T
	n    *Node
	now  time.Duration
	up   func(ID) bool
	seen func(to ID, msg *message) // every datagram sent
	dial func(to ID)               // every EffectWarm
	due  []Input                   // acks, delivered at once
	late time.Duration             // of every timer
}

func newCrowd(t *testing.T, members int) *crowd {
	n, err := New(Config{ID: "n1", Addr: testAddr(1), Seed: 1}, testEpoch)
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{t: t, n: n, up: func(ID) bool { return true }, seen: func(ID, *message) {}, dial: func(ID) {}}
	var rows []*member
	for i := 2; i <= members; i++ {
		m := row(fmt.Sprintf("n%d", i), Alive, 1)
		m.place = placeOf(testAddr(i))
		rows = append(rows, m)
	}
	c.step(Tick())
	c.step(ExchangeReply("n2", testAddr(2), seedState(rows...)))
	c.run(20 * time.Second)
	return c
}

// step takes an input and, at the same instant, what the others answer to what follows from it.
func (c *crowd) step(in Input) {
	c.due = append(c.due, in)
	for len(c.due) > 0 {
		in, c.due = c.due[0], c.due[1:]
		for _, e := range c.n.Step(testEpoch.Add(c.now), in) {
			var msg message
			if e.Kind == EffectWarm {
				c.dial(e.To.ID)
			}
			if e.Kind != EffectSend || decodeMessage(e.Data, &msg) != nil {
				continue
			}
			c.seen(e.To.ID, &msg)
			if msg.typ == messagePing && c.up(e.To.ID) {
				ack := message{typ: messageAck, seq: msg.seq, incarnation: 1, digest: c.n.Digest()}
				c.due = append(c.due, Datagram(e.To.ID, e.To.Addr, appendMessage(nil, &ack)))
			}
		}
	}
}

func (c *crowd) run(d time.Duration) {
	for end := c.now + d; ; {
		deadline := c.n.Deadline().Sub(testEpoch) + c.late
		if deadline > end {
			c.now = end
			return
		}
		c.now = max(c.now, deadline)
		c.step(Tick())
	}
}

func (c *crowd) warm(id ID) bool { return c.n.warm(c.n.find(id)) }

// Members that stood still ask those with a warm connection whether they are back: a process of hundreds that stood still must
// not dial itself to a standstill.
func TestStalledMemberAsksWarmPeers(t *testing.T) {
	c := newCrowd(t, 300)
	asked := 0
	c.seen = func(to ID, msg *message) {
		if msg.typ == messagePing {
			asked++
			if !c.warm(to) {
				t.Errorf("pings %s, which it has no connection with", to)
			}
		}
	}
	c.now += 3 * time.Second
	c.step(Tick())
	if asked < stallPings {
		t.Errorf("%d pings, want %d at least", asked, stallPings)
	}
	if c.n.stall.timer != 0 {
		t.Error("in doubt although it was answered")
	}
}

// Whatever does not answer, a member asks few relays that it has no connection with.
func TestColdRelaysAreBounded(t *testing.T) {
	c := newCrowd(t, 300)
	c.up = func(ID) bool { return false }
	var cold []time.Duration
	relays := 0
	c.seen = func(to ID, msg *message) {
		if msg.typ == messagePingReq {
			relays++
			if !c.warm(to) {
				cold = append(cold, c.now)
			}
		}
	}
	c.run(time.Minute)
	if relays == 0 || len(cold) == relays {
		t.Fatalf("%d relays asked, %d of them strangers", relays, len(cold))
	}
	for i, at := range cold {
		in := 0
		for _, other := range cold[i:] {
			if other-at < time.Second {
				in++
			}
		}
		if in > 2*coldRelays { // a period may begin within the second
			t.Errorf("%d cold relays in the second from %v", in, at)
		}
	}
}

// The strangers among the relays are named to the host when the first ping goes unanswered, so that their handshakes are over
// when they are asked (requirements 1.15); and nobody else is.
func TestColdRelaysAreWarmedAtTheFirstMiss(t *testing.T) {
	c := newCrowd(t, 300)
	dark := c.n.members[c.n.observed[0]].id
	c.up = func(id ID) bool { return id != dark }
	var warmed, asked []ID
	pings := 0
	c.dial = func(to ID) {
		warmed = append(warmed, to)
		if pings != 2 || len(asked) != 0 {
			t.Errorf("warmed %s after %d pings and %d relays asked, want it with the repeated ping", to, pings, len(asked))
		}
	}
	c.seen = func(to ID, msg *message) {
		switch {
		case msg.typ == messagePing && to == dark:
			pings++
		case msg.typ == messagePingReq && !c.warm(to):
			asked = append(asked, to)
		}
	}
	for c.n.counters.Missed == 0 {
		c.run(c.n.Deadline().Sub(testEpoch) - c.now)
	}
	if len(asked) == 0 || !slices.Equal(warmed, asked) {
		t.Errorf("warmed %v, then asked %v", warmed, asked)
	}
}

// What is warmed is bounded like what is asked, and an answered ping warms nobody.
func TestWarmingIsBounded(t *testing.T) {
	c := newCrowd(t, 300)
	var warmed []time.Duration
	c.dial = func(ID) { warmed = append(warmed, c.now) }
	c.run(time.Minute)
	if len(warmed) != 0 {
		t.Errorf("%d warmed while everybody answers", len(warmed))
	}
	c.up = func(ID) bool { return false }
	c.run(time.Minute)
	for i := range warmed {
		if at := i + 2*coldRelays; at < len(warmed) && warmed[at]-warmed[i] < time.Second { // a period may begin within the second
			t.Errorf("more than %d warmed in the second from %v", 2*coldRelays, warmed[i])
		}
	}
}

// A member whose timers run late asks relays as ever, but nobody is connected to before that.
func TestLateMemberWarmsNobody(t *testing.T) {
	c := newCrowd(t, 300)
	warmed, asked := 0, 0
	c.dial = func(ID) { warmed++ }
	c.seen = func(_ ID, msg *message) {
		if msg.typ == messagePingReq {
			asked++
		}
	}
	c.late = 2 * haste
	c.run(10 * time.Second)
	c.up = func(ID) bool { return false }
	c.run(time.Minute)
	if asked == 0 || warmed > 0 {
		t.Errorf("%d warmed of %d asked, want none of some", warmed, asked)
	}
}

// News goes to peers with warm connections. A stranger gets it with a sync, whose ping carries it, so that no clique stays among
// itself.
func TestGossipIsWarm(t *testing.T) {
	c := newCrowd(t, 300)
	sent, strangers, told := 0, 0, 0
	c.seen = func(to ID, msg *message) {
		switch {
		case msg.typ == messageGossip:
			sent++
			if !c.warm(to) {
				strangers++
			}
		case msg.typ == messagePing && len(msg.updates) > 0 && !c.warm(to):
			told++
		}
	}
	for i := range 200 { // news without end
		m := c.n.find(ID(fmt.Sprintf("n%d", 2+i)))
		c.n.say(m, priorityMedium)
		c.run(time.Second)
	}
	if sent == 0 || strangers > 0 {
		t.Errorf("%d of %d went to strangers, want none of many", strangers, sent)
	}
	if told == 0 {
		t.Error("no sync told a stranger")
	}
}

// A sync costs a ping while views are equal, and an exchange when they are not (requirements 1.12).
func TestSyncComparesDigestsFirst(t *testing.T) {
	n, err := New(Config{ID: "n1", Addr: testAddr(1), Seed: 1}, testEpoch)
	if err != nil {
		t.Fatal(err)
	}
	other := row("n2", Alive, 1)
	other.place = placeOf(testAddr(2))
	n.Step(testEpoch, Tick())
	n.Step(testEpoch, ExchangeReply("n2", testAddr(2), seedState(other)))
	for _, differs := range []bool{false, true} {
		n.Step(testEpoch.Add(10*time.Second), Tick())
		n.effects = n.effects[:0]
		n.sync()
		var ping message
		if len(n.effects) != 1 || n.effects[0].Kind != EffectSend || decodeMessage(n.effects[0].Data, &ping) != nil || ping.typ != messagePing {
			t.Fatalf("a sync asks for %v, want one ping", n.effects)
		}
		ack := message{typ: messageAck, seq: ping.seq, incarnation: 1, digest: ping.digest}
		if differs {
			ack.digest++
		}
		effects := n.Step(testEpoch.Add(10*time.Second), Datagram("n2", testAddr(2), appendMessage(nil, &ack)))
		exchanges := slices.ContainsFunc(effects, func(e Effect) bool { return e.Kind == EffectExchange })
		if exchanges != differs {
			t.Errorf("views differ: %v, exchanged: %v", differs, exchanges)
		}
	}
}
