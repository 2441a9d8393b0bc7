package swim

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"
)

var testEpoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func testAddr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 7946)
}

// newNode is n1 alone, with cfg's other fields.
func newNode(t testing.TB, cfg Config) *Node {
	t.Helper()
	cfg.ID, cfg.Addr = "n1", testAddr(1)
	n, err := New(cfg, testEpoch)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// reencode writes an update as appendUpdate would.
func reencode(b []byte, u *update) []byte {
	head := byte(u.claim.state)
	if u.addr.IsValid() {
		head |= updateHasAddr
	}
	if u.tags != nil {
		head |= updateHasTags
	}
	if u.accusers != nil {
		head |= updateHasAccusers
	}
	b = append(b, head)
	b = appendID(b, ID(u.id))
	b = binary.AppendUvarint(b, u.claim.incarnation)
	if u.addr.IsValid() {
		b = appendAddr(b, u.addr)
	}
	if u.tags != nil {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(u.tags))), u.tags...)
	}
	if u.accusers != nil {
		b = append(append(b, byte(len(accuserIDs(u.accusers)))), u.accusers...)
	}
	return b
}

func decodeUpdates(t *testing.T, b []byte) (updates []update) {
	for r := (reader{b: b}); len(r.b) > 0; {
		var u update
		if !r.update(&u) {
			t.Fatalf("%x: passed the check and cannot be read", b)
		}
		updates = append(updates, u)
	}
	return updates
}

// FuzzDecodeMessage: no bytes crash the decoder, and what it accepts means the same when it is written again.
func FuzzDecodeMessage(f *testing.F) {
	for _, b := range seedDatagrams() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var first, second message
		before := bytes.Clone(b)
		if decodeMessage(b, &first) != nil {
			return
		}
		if !bytes.Equal(b, before) {
			t.Fatalf("the decoder wrote to %x", before)
		}
		updates := decodeUpdates(t, first.updates)
		if len(updates) > UpdatesMax {
			t.Fatalf("%d updates", len(updates))
		}
		again := appendMessage(nil, &first)
		for i := range updates {
			again = reencode(again, &updates[i])
		}
		if err := decodeMessage(again, &second); err != nil {
			t.Fatalf("%x, written again as %x: %v", b, again, err)
		}
		if got := decodeUpdates(t, second.updates); !reflect.DeepEqual(got, updates) {
			t.Fatalf("%x: got %+v, want %+v", b, got, updates)
		}
		first.updates, second.updates = nil, nil
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("%x: got %+v, want %+v", b, second, first)
		}
	})
}

func seedDatagrams() [][]byte {
	ping := message{typ: messagePing, seq: 7, flags: flagRegular, incarnation: 3, digest: 0x0102030405060708}
	ack := message{typ: messageAck, seq: 7, incarnation: 1 << 40, digest: 1, dueMS: 8000}
	req := message{typ: messagePingReq, seq: 9, target: Peer{"n3", netip.MustParseAddrPort("[fd00::3]:7946")}}
	nack := message{typ: messageNack, seq: 9}
	tagged := row("n4", Alive, 2)
	tagged.setTags(Tags{{"role", "db"}, {"zone", "a"}})
	rows := []*member{tagged, row("n5", Suspect, 1, "n1", "n2"), row("n6", Failed, 9, "n1"), row("n7", Left, IncarnationMax-1)}
	var seeds [][]byte
	for _, m := range []message{ping, ack, req, nack, {typ: messageGossip}} {
		b := appendMessage(nil, &m)
		seeds = append(seeds, b)
		for _, r := range rows {
			b = (*Node)(nil).appendUpdate(b, r)
		}
		seeds = append(seeds, b, b[:len(b)-3], append(slices.Clone(b), 0xff))
	}
	mapped := rawUpdate{head: byte(Alive) | updateHasAddr, id: "n8", incarnation: 1,
		addr: append(append([]byte{16}, netip.MustParseAddr("::ffff:10.0.0.8").AsSlice()...), 31, 10)}
	return append(seeds, mapped.append(gossipOf()), []byte{}, []byte{wireVersion})
}

// TestDecodeAllocates: nothing that arrives makes the decoder allocate, but for the one id of a ping-req.
func TestDecodeAllocates(t *testing.T) {
	var msg message
	for _, b := range seedDatagrams() {
		limit := 0.0
		if len(b) > 1 && messageType(b[1]) == messagePingReq {
			limit = 1
		}
		if got := testing.AllocsPerRun(10, func() { _ = decodeMessage(b, &msg) }); got > limit {
			t.Errorf("%x: %v allocations, want at most %v", b, got, limit)
		}
	}
}

// FuzzApplyState: no bytes crash a state exchange; a refused block changes nothing; an accepted one leaves a view that a
// third member takes over whole, but for those whose departure it tells of itself. The own incarnation rises only above a claim about oneself (I7).
func FuzzApplyState(f *testing.F) {
	for _, b := range seedStates(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n := newNode(t, Config{})
		n.Step(testEpoch, Tick())
		before := n.Members(nil)
		n.Step(testEpoch, ExchangeReply("n2", testAddr(2), b))
		if n.Counters().Malformed != 0 {
			if after := n.Members(nil); !reflect.DeepEqual(after, before) {
				t.Fatalf("%x was refused, and changed %v to %v", b, before, after)
			}
			return
		}
		checkNode(t, n)
		other, err := New(Config{ID: "other", Addr: testAddr(99)}, testEpoch)
		if err != nil {
			t.Fatal(err)
		}
		other.Step(testEpoch, ExchangeReply("n1", testAddr(1), n.appendState(nil)))
		if other.Counters().Malformed != 0 {
			t.Fatalf("%x gave a view whose state is malformed", b)
		}
		for _, m := range n.Members(nil) {
			got := other.find(m.ID)
			switch {
			case m.ID == "other", n.find(m.ID).hearsay && got == nil: // what is long over is not handed on
			case got == nil || got.claim() != (claim{m.Incarnation, m.State}) || got.addr() != m.Addr:
				t.Fatalf("%x: of %+v the third member holds %+v", b, m, got)
			}
		}
	})
}

func seedStates(t testing.TB) [][]byte {
	state := func(rows ...*member) []byte {
		b := append([]byte{wireVersion}, byte(len(rows)))
		for _, r := range rows {
			b = (*Node)(nil).appendUpdate(b, r)
		}
		return b
	}
	whole := state(row("n2", Alive, 1), row("n3", Suspect, 4, "n2"), row("n4", Failed, 2, "n2", "n3"), row("n5", Left, 1))
	return [][]byte{
		whole, whole[:len(whole)-1], state(row("n1", Failed, 8, "n2")), state(row("n1", Alive, IncarnationMax-1)),
		state(row("other", Suspect, 3)), newNode(t, Config{Tags: Tags{{"a", "b"}}}).appendState(nil), {wireVersion, 0}, {},
		append([]byte{wireVersion}, binary.AppendUvarint(nil, viewMax+1)...),
	}
}

// TestStateTruncated: a state block says how many members follow, so that no cut goes unnoticed.
func TestStateTruncated(t *testing.T) {
	whole := seedStates(t)[0]
	for size := range len(whole) {
		if n := newNode(t, Config{}); n.applyState(whole[:size], Peer{}) || n.refs.live != 1 {
			t.Errorf("%d of %d bytes: accepted, or applied in part: %d members", size, len(whole), n.refs.live)
		}
	}
	if n := newNode(t, Config{}); !n.applyState(whole, Peer{}) || n.refs.live != 5 {
		t.Errorf("the whole block: refused, or applied in part: %d members", n.refs.live)
	}
	for _, wrong := range []int{0, 2, wireVersion + 1} {
		b := bytes.Clone(whole)
		b[0] = byte(wrong)
		if newNode(t, Config{}).applyState(b, Peer{}) {
			t.Errorf("version %d: accepted", wrong)
		}
	}
	if newNode(t, Config{}).applyState(make([]byte, StateMax+1), Peer{}) {
		t.Error("a block above StateMax: accepted")
	}
}
