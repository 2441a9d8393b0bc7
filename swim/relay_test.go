package swim

import "testing"

// TestI15RelaysAreBounded: a member serves relayedMax indirect probes at a time, does not answer one more, and takes new ones when
// the first are over.
func TestI15RelaysAreBounded(t *testing.T) {
	n := newNode(t, Config{})
	n.Step(testEpoch, Tick())
	n.Step(testEpoch, ExchangeReply("n2", testAddr(2), seedState(row("n2", Alive, 1), row("n3", Alive, 1))))
	ask := func(seq int) (answers int) {
		req := message{typ: messagePingReq, seq: uint32(seq), waitMS: 100, target: Peer{"n3", testAddr(3)}}
		now := n.wall(n.now)
		for _, e := range n.Step(now, Datagram("n2", testAddr(2), appendMessage(nil, &req))) {
			var msg message
			if e.Kind == EffectSend && decodeMessage(e.Data, &msg) == nil && msg.typ == messageNack && msg.seq == req.seq {
				answers++
			}
		}
		return answers
	}
	for i := range relayedMax {
		if ask(i) != 0 {
			t.Fatalf("answered the %dth before it could have tried", i+1)
		}
	}
	if ask(relayedMax) != 0 || n.Counters().RelaysFull != 1 {
		t.Errorf("the %dth was answered, or not counted: %+v", relayedMax+1, n.Counters())
	}
	for n.now < n.cfg.ProtocolPeriod {
		n.Step(n.Deadline(), Tick())
	}
	if ask(relayedMax+1) != 0 {
		t.Error("answers before it could have tried")
	}
	checkNode(t, n)
}

// A relay pings the target where its own view has it: whoever asks cannot make it send to an address of his choice.
func TestRelayPingsWhereItKnowsTheTarget(t *testing.T) {
	n := newNode(t, Config{})
	n.Step(testEpoch, Tick())
	n.Step(testEpoch, ExchangeReply("n2", testAddr(2), seedState(row("n2", Alive, 1), row("n3", Alive, 1))))
	known := n.find("n3").addr()
	req := message{typ: messagePingReq, seq: 1, waitMS: 100, target: Peer{"n3", testAddr(99)}}
	pinged := false
	for _, e := range n.Step(testEpoch, Datagram("n2", testAddr(2), appendMessage(nil, &req))) {
		if e.Kind == EffectSend && e.To.ID == "n3" {
			pinged = true
			if e.To.Addr != known {
				t.Errorf("pings n3 at %v, known to be at %v", e.To.Addr, known)
			}
		}
	}
	if !pinged {
		t.Error("does not ping n3")
	}
}
