package swim

import (
	"testing"
	"time"
)

// steady is a settled member whose peers answer at once and probe it in turn, driven without allocating.
type steady struct {
	t      testing.TB
	n      *Node
	ids    []ID
	now    time.Duration
	packet []byte
	seqs   []pinged // to be answered
	asker  int
	acks   int // that came from the node
	pings  int // that went out
}

type pinged struct {
	to  Peer
	seq uint32
}

func newSteady(t testing.TB, members int, strategy Strategy) *steady {
	s := &steady{t: t, packet: make([]byte, 0, DatagramMax), seqs: make([]pinged, 0, 64)}
	for i := 1; i <= members; i++ {
		s.ids = append(s.ids, nameOf(i))
	}
	s.n = newViews(t, s.ids, Config{Strategy: strategy})["n1"]
	s.n.syncTimer = 0 // a state exchange encodes the whole view into fresh memory, once a minute; that is not the steady state
	for range 100 * members {
		s.turn()
	}
	if s.n.Live() != members || s.n.Counters().Accusations != 0 {
		t.Fatalf("%d live after %v, %+v", s.n.Live(), s.now, s.n.Counters())
	}
	s.acks, s.pings = 0, 0
	return s
}

func (s *steady) step(in Input) {
	for _, e := range s.n.Step(testEpoch.Add(s.now), in) {
		if e.Kind == EffectWarm {
			continue
		}
		var msg message
		if e.Kind != EffectSend || decodeMessage(e.Data, &msg) != nil {
			s.t.Fatalf("at %v: effect of kind %d: %+v", s.now, e.Kind, e.Transition)
		}
		switch msg.typ {
		case messagePing:
			s.pings++
			s.seqs = append(s.seqs, pinged{e.To, msg.seq})
		case messageAck:
			s.acks++
		}
	}
}

func (s *steady) feed(from Peer, msg *message) {
	msg.incarnation, msg.digest = 1, s.n.Digest()
	s.packet = appendMessage(s.packet[:0], msg)
	s.step(Datagram(from.ID, from.Addr, s.packet))
}

// turn goes to the next deadline, answers what is pinged, and lets one peer ping.
func (s *steady) turn() {
	s.now = max(s.now, s.n.Deadline().Sub(testEpoch))
	s.step(Tick())
	s.now += time.Millisecond
	for _, p := range s.seqs {
		s.feed(p.to, &message{typ: messageAck, seq: p.seq, dueMS: 8000})
	}
	s.seqs = s.seqs[:0]
	s.ask()
}

func (s *steady) ask() {
	s.asker = s.asker%(len(s.ids)-1) + 1
	m := s.n.find(s.ids[s.asker])
	s.feed(m.peer(), &message{typ: messagePing, seq: 1, flags: flagRegular})
}

// TestStepAllocates: in the steady state Step allocates nothing: deadlines, pings out, acks in, pings in, acks out.
func TestStepAllocates(t *testing.T) {
	for name, strategy := range map[string]Strategy{"rings": RingObservers, "round robin": RoundRobin} {
		for _, members := range []int{2, 5, 60} {
			s := newSteady(t, members, strategy)
			if got := testing.AllocsPerRun(2000, s.turn); got != 0 {
				t.Errorf("%s, %d members: %v allocations a turn", name, members, got)
			}
			if s.acks == 0 || s.pings == 0 {
				t.Errorf("%s, %d members: %d pings, %d acks", name, members, s.pings, s.acks)
			}
		}
	}
}

// TestStepAllocatesSuspected: neither do packets that carry news which is no news.
func TestStepAllocatesSuspected(t *testing.T) {
	s := newSteady(t, 60, RingObservers)
	news := gossipOf(row("n2", Alive, 1), row("n3", Suspect, 1, "n4"), row("n5", Left, 1))
	in := Datagram("n9", testAddr(9), news)
	step := func() {
		s.now += time.Millisecond
		s.n.Step(testEpoch.Add(s.now), in)
	}
	for range 200 { // until all was said
		step()
	}
	if got := testing.AllocsPerRun(100, step); got != 0 {
		t.Errorf("%v allocations a packet", got)
	}
}

func BenchmarkStepPing(b *testing.B) {
	s := newSteady(b, 100, RingObservers)
	b.ReportAllocs()
	for b.Loop() {
		s.ask()
	}
}

func BenchmarkStepAck(b *testing.B) {
	s := newSteady(b, 100, RingObservers)
	m := s.n.find("n2")
	s.packet = appendMessage(s.packet[:0], &message{typ: messageAck, seq: 1, incarnation: 1, digest: s.n.Digest()})
	in := Datagram(m.id, m.addr(), s.packet)
	b.ReportAllocs()
	for b.Loop() {
		s.n.Step(testEpoch.Add(s.now), in)
	}
}

// BenchmarkStepTurn is a regular probe from deadline to ack, and a ping that is answered.
func BenchmarkStepTurn(b *testing.B) {
	for name, strategy := range map[string]Strategy{"rings": RingObservers, "robin": RoundRobin} {
		b.Run(name, func(b *testing.B) {
			s := newSteady(b, 100, strategy)
			b.ReportAllocs()
			for b.Loop() {
				s.turn()
			}
		})
	}
}

// BenchmarkEncode and BenchmarkDecode take a ping with as many updates as a datagram holds of them.
func BenchmarkEncode(b *testing.B) {
	m := row("n1234", Alive, 3)
	msg := message{typ: messagePing, seq: 7, incarnation: 3, digest: 1 << 60}
	packet := make([]byte, 0, 2*DatagramMax)
	b.ReportAllocs()
	for b.Loop() {
		packet = appendMessage(packet[:0], &msg)
		for range UpdatesMax {
			packet = (*Node)(nil).appendUpdate(packet, m)
		}
	}
	b.SetBytes(int64(len(packet)))
}

func BenchmarkDecode(b *testing.B) {
	packet := appendMessage(nil, &message{typ: messagePing, seq: 7, incarnation: 3, digest: 1 << 60})
	for range UpdatesMax {
		packet = (*Node)(nil).appendUpdate(packet, row("n1234", Suspect, 3, "n1", "n2", "n3"))
	}
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	var msg message
	for b.Loop() {
		if decodeMessage(packet, &msg) != nil {
			b.Fatal("malformed")
		}
	}
}
