package swim

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestNoEmptyGossip: a packet of nothing but updates has one. The receiver needs no word about itself.
func TestNoEmptyGossip(t *testing.T) {
	n := newNode(t, Config{})
	n.Step(testEpoch, Tick())
	n.Step(testEpoch, ExchangeReply("n2", testAddr(2), seedState(row("n2", Alive, 1), row("n3", Alive, 1))))
	n.queue.drop(selfRef)
	n.Step(n.Deadline(), Datagram("n3", testAddr(3), gossipOf(row("n2", Alive, 2))))
	sent := 0
	for n.queue.length > 0 {
		for _, e := range n.Step(n.Deadline(), Tick()) {
			var msg message
			if e.Kind == EffectSend && decodeMessage(e.Data, &msg) == nil && msg.typ == messageGossip {
				if sent++; len(msg.updates) == 0 {
					t.Errorf("a packet to %s with nothing in it", e.To.ID)
				}
			}
		}
	}
	if sent == 0 {
		t.Error("nothing was sent")
	}
}

// TestDroppedForLackOfRoomIsNotSaid: an accused member with as many tags as there may be answers an accuser that is itself
// suspected by many. Both claims do not fit into one packet; then the refutation is not counted as sent.
func TestDroppedForLackOfRoomIsNotSaid(t *testing.T) {
	long := func(prefix string) ID { return ID(prefix + strings.Repeat("x", IDMax-len(prefix))) }
	tags := Tags{}
	for i := range TagsMax {
		tags = append(tags, Tag{fmt.Sprintf("%02d", i), strings.Repeat("v", TagsBytesMax/TagsMax-2)})
	}
	n := newNode(t, Config{Tags: tags})
	accuserID := long("accuser")
	var others []ID
	for i := range accusersWireMax {
		others = append(others, long(fmt.Sprint("o", i)))
	}
	at := testEpoch
	step := func(in Input) []Effect {
		at = at.Add(time.Millisecond)
		return n.Step(at, in)
	}
	step(ExchangeReply("n2", testAddr(2), seedState(row("n2", Alive, 1), row(string(accuserID), Alive, 1))))
	step(Datagram("n2", testAddr(2), gossipOf(row(string(accuserID), Suspect, 1, others...))))
	n.queue.drop(selfRef)
	effects := step(Datagram(accuserID, testAddr(9), gossipOf(row("n1", Suspect, 1, accuserID))))
	told := 0
	for _, e := range effects {
		if e.Kind != EffectSend {
			continue
		}
		for _, u := range sentUpdates(t, e.Data) {
			if string(u.id) == "n1" && u.claim == (claim{2, Alive}) {
				told++
			}
		}
	}
	if counted := int(n.queue.entries[selfRef].sent); counted != told {
		t.Errorf("the refutation went out %d times and counts as sent %d times", told, counted)
	}
}
