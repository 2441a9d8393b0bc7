package swim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What a datagram or a state block may hold, drawn from its whole range.

func drawID(t *rapid.T) ID {
	return ID(rapid.OneOf(
		rapid.StringMatching(`[A-Za-z0-9_-]{1,8}`),
		rapid.Just(strings.Repeat("x", IDMax)),
	).Draw(t, "id"))
}

func drawAddr(t *rapid.T) netip.AddrPort {
	port := rapid.Uint16Range(1, math.MaxUint16).Draw(t, "port")
	ip := netip.AddrFrom4([4]byte{10, rapid.Byte().Draw(t, "a"), rapid.Byte().Draw(t, "b"), 1})
	if rapid.Bool().Draw(t, "v6") {
		v6 := [16]byte{0: 0xfd, 15: rapid.Byte().Draw(t, "c")}
		ip = netip.AddrFrom16(v6)
	}
	return netip.AddrPortFrom(ip, port)
}

func drawTags(t *rapid.T) Tags {
	m := make(map[string]string)
	for range rapid.IntRange(0, 6).Draw(t, "tags") {
		key := rapid.StringMatching(`[a-z]{1,6}|k{64}`).Draw(t, "key")
		m[key] = rapid.StringMatching(`[a-z]{0,8}|v{100}`).Draw(t, "value")
	}
	tags := NewTags(m)
	for tags.Validate() != nil {
		tags = tags[1:]
	}
	return tags
}

func drawIncarnation(t *rapid.T) uint64 {
	return rapid.OneOf(rapid.Uint64Range(1, 300), rapid.Uint64Range(1, IncarnationMax-1)).Draw(t, "incarnation")
}

// drawRow is a row of a view: what appendUpdate encodes.
func drawRow(t *rapid.T) *member {
	m := &member{
		id: drawID(t), place: placeOf(drawAddr(t)), incarnation: drawIncarnation(t),
		state: State(rapid.IntRange(int(Alive), int(Left)).Draw(t, "state")),
	}
	if m.state == Alive {
		m.setTags(drawTags(t))
	}
	if m.state == Suspect || m.state == Failed {
		m.suspicion = &suspicion{}
		for range rapid.IntRange(0, accusersMax).Draw(t, "accusers") {
			m.suspicion.accusers = append(m.suspicion.accusers, accuser{id: drawID(t)})
		}
	}
	return m
}

func drawMessage(t *rapid.T) message {
	m := message{typ: messageType(rapid.IntRange(int(messagePing), int(messageGossip)).Draw(t, "type"))}
	if m.typ != messageGossip {
		m.seq = rapid.Uint32().Draw(t, "seq")
	}
	switch m.typ {
	case messagePing:
		m.flags = rapid.Byte().Draw(t, "flags")
		m.incarnation, m.digest = rapid.Uint64().Draw(t, "incarnation"), rapid.Uint64().Draw(t, "digest")
	case messageAck:
		m.incarnation, m.digest = rapid.Uint64().Draw(t, "incarnation"), rapid.Uint64().Draw(t, "digest")
		m.dueMS = rapid.Uint64().Draw(t, "due")
	case messagePingReq:
		m.waitMS, m.target = rapid.Uint64().Draw(t, "wait"), Peer{drawID(t), drawAddr(t)}
	}
	return m
}

// accuserIDs lists what reader.accusers returned.
func accuserIDs(b []byte) (ids []ID) {
	for r := (reader{b: b}); len(r.b) > 0; {
		ids = append(ids, ID(r.id()))
	}
	return ids
}

func TestDatagramRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawMessage(t)
		b := appendMessage(nil, &want)
		rows := rapid.SliceOfN(rapid.Custom(drawRow), 0, UpdatesMax).Draw(t, "rows")
		fits := 0
		for _, m := range rows {
			if whole := (*Node)(nil).appendUpdate(b, m); len(whole) <= DatagramMax {
				b = whole
				fits++
			} else {
				break
			}
		}
		var got message
		if err := decodeMessage(b, &got); err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		r := reader{b: got.updates}
		for _, m := range rows[:fits] {
			var u update
			if !r.update(&u) {
				t.Fatalf("update of %+v: refused", m)
			}
			checkUpdate(t, &u, m)
		}
		if len(r.b) != 0 {
			t.Fatalf("%d bytes left over", len(r.b))
		}
		got.updates = nil
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func checkUpdate(t *rapid.T, u *update, m *member) {
	var accusers []ID
	if m.suspicion != nil {
		for _, a := range m.suspicion.accusers[:min(len(m.suspicion.accusers), accusersWireMax)] {
			accusers = append(accusers, a.id)
		}
	}
	switch {
	case ID(u.id) != m.id || u.claim != m.claim() || u.addr != m.addr():
		t.Fatalf("got %s %+v at %v, want %s %+v at %v", u.id, u.claim, u.addr, m.id, m.claim(), m.addr())
	case !decodeTags(u.tags).Equal(m.tags()) || !equalTags(u.tags, m.tags()):
		t.Fatalf("got tags %v, want %v", decodeTags(u.tags), m.tags())
	case !slices.Equal(accuserIDs(u.accusers), accusers):
		t.Fatalf("got accusers %v, want %v", accuserIDs(u.accusers), accusers)
	}
}

// TestDatagramTruncated cuts a datagram at every byte. Updates carry no count, so a cut between two of them is whole.
func TestDatagramTruncated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		msg := drawMessage(t)
		b := appendMessage(nil, &msg)
		whole := map[int]bool{len(b): true}
		for _, m := range rapid.SliceOfN(rapid.Custom(drawRow), 0, 3).Draw(t, "rows") {
			if next := (*Node)(nil).appendUpdate(b, m); len(next) <= DatagramMax {
				b = next
				whole[len(b)] = true
			}
		}
		for size := range len(b) + 1 {
			var got message
			if err := decodeMessage(b[:size:size], &got); (err == nil) != whole[size] {
				t.Fatalf("%d of %d bytes of %x: %v", size, len(b), b, err)
			}
		}
	})
}

func row(id string, s State, incarnation uint64, accusers ...ID) *member {
	m := &member{id: ID(id), place: placeOf(netip.MustParseAddrPort("10.0.0.9:7946")), incarnation: incarnation, state: s}
	if s == Suspect || s == Failed {
		m.suspicion = &suspicion{}
		for _, id := range accusers {
			m.suspicion.accusers = append(m.suspicion.accusers, accuser{id: id})
		}
	}
	return m
}

func gossipOf(rows ...*member) []byte {
	b := appendMessage(nil, &message{typ: messageGossip})
	for _, m := range rows {
		b = (*Node)(nil).appendUpdate(b, m)
	}
	return b
}

// rawUpdate is an update put together by hand, to break one rule at a time.
type rawUpdate struct {
	head        byte
	id          string
	incarnation uint64
	addr        []byte // with port; nil when absent
	tags        []byte // without the size; nil when absent
	accusers    []string
}

func (u rawUpdate) append(b []byte) []byte {
	b = append(b, u.head)
	b = append(append(b, byte(len(u.id))), u.id...)
	b = binary.AppendUvarint(b, u.incarnation)
	b = append(b, u.addr...)
	if u.head&updateHasTags != 0 {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(u.tags))), u.tags...)
	}
	if u.head&updateHasAccusers != 0 {
		b = append(b, byte(len(u.accusers)))
		for _, id := range u.accusers {
			b = append(append(b, byte(len(id))), id...)
		}
	}
	return b
}

func tagsOf(pairs ...string) []byte {
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		b = append(append(b, byte(len(pairs[i]))), pairs[i]...)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(pairs[i+1]))), pairs[i+1]...)
	}
	return b
}

func TestDecodeBounds(t *testing.T) {
	v4 := []byte{4, 10, 0, 0, 9, 31, 10}
	alive := byte(Alive) | updateHasAddr
	many := func(n int, tag func(i int) (k, v string)) []byte {
		var pairs []string
		for i := range n {
			k, v := tag(i)
			pairs = append(pairs, k, v)
		}
		return tagsOf(pairs...)
	}
	ids := slices.Repeat([]string{"a"}, accusersWireMax)
	for _, c := range []struct {
		name string
		u    rawUpdate
		ok   bool
	}{
		{"plain", rawUpdate{alive, "n1", 1, v4, nil, nil}, true},
		{"no state", rawUpdate{updateHasAddr, "n1", 1, v4, nil, nil}, false},
		{"state above left", rawUpdate{updateHasAddr | 5, "n1", 1, v4, nil, nil}, false},
		{"reserved bit 3", rawUpdate{alive | 0x08, "n1", 1, v4, nil, nil}, false},
		{"reserved bit 7", rawUpdate{alive | 0x80, "n1", 1, v4, nil, nil}, false},
		{"alive without address", rawUpdate{byte(Alive), "n1", 1, nil, nil, nil}, false},
		{"left without address", rawUpdate{byte(Left), "n1", 1, nil, nil, nil}, true},
		{"empty id", rawUpdate{alive, "", 1, v4, nil, nil}, false},
		{"longest id", rawUpdate{alive, strings.Repeat("x", IDMax), 1, v4, nil, nil}, true},
		{"id too long", rawUpdate{alive, strings.Repeat("x", IDMax+1), 1, v4, nil, nil}, false},
		{"id with a dot", rawUpdate{alive, "a.b", 1, v4, nil, nil}, false},
		{"incarnation 0", rawUpdate{alive, "n1", 0, v4, nil, nil}, false},
		{"highest incarnation", rawUpdate{alive, "n1", IncarnationMax - 1, v4, nil, nil}, true},
		{"incarnation too high", rawUpdate{alive, "n1", IncarnationMax, v4, nil, nil}, false},
		{"address of 5 bytes", rawUpdate{alive, "n1", 1, []byte{5, 10, 0, 0, 9, 1, 31, 10}, nil, nil}, false},
		{"port 0", rawUpdate{alive, "n1", 1, []byte{4, 10, 0, 0, 9, 0, 0}, nil, nil}, false},
		{"unspecified address", rawUpdate{alive, "n1", 1, []byte{4, 0, 0, 0, 0, 31, 10}, nil, nil}, false},
		{"no tags", rawUpdate{alive | updateHasTags, "n1", 1, v4, nil, nil}, true},
		{"tags out of order", rawUpdate{alive | updateHasTags, "n1", 1, v4, tagsOf("b", "", "a", ""), nil}, false},
		{"a tag twice", rawUpdate{alive | updateHasTags, "n1", 1, v4, tagsOf("a", "1", "a", "2"), nil}, false},
		{"empty key", rawUpdate{alive | updateHasTags, "n1", 1, v4, tagsOf("", "1"), nil}, false},
		{"key too long", rawUpdate{alive | updateHasTags, "n1", 1, v4, tagsOf(strings.Repeat("k", TagKeyMax+1), ""), nil}, false},
		{"value too long", rawUpdate{alive | updateHasTags, "n1", 1, v4, tagsOf("k", strings.Repeat("v", TagValueMax+1)), nil}, false},
		{"most tags", rawUpdate{alive | updateHasTags, "n1", 1, v4,
			many(TagsMax, func(i int) (string, string) { return fmt.Sprintf("k%02d", i), "" }), nil}, true},
		{"too many tags", rawUpdate{alive | updateHasTags, "n1", 1, v4,
			many(TagsMax+1, func(i int) (string, string) { return fmt.Sprintf("k%02d", i), "" }), nil}, false},
		{"most bytes of tags", rawUpdate{alive | updateHasTags, "n1", 1, v4,
			many(2, func(i int) (string, string) { return fmt.Sprint(i), strings.Repeat("v", TagsBytesMax/2-1) }), nil}, true},
		{"too many bytes of tags", rawUpdate{alive | updateHasTags, "n1", 1, v4,
			many(3, func(i int) (string, string) { return fmt.Sprint(i), strings.Repeat("v", TagsBytesMax/3) }), nil}, false},
		{"most accusers", rawUpdate{byte(Suspect) | updateHasAccusers, "n1", 1, nil, nil, ids}, true},
		{"too many accusers", rawUpdate{byte(Suspect) | updateHasAccusers, "n1", 1, nil, nil, append(ids, "a")}, false},
		{"accuser with an impossible id", rawUpdate{byte(Suspect) | updateHasAccusers, "n1", 1, nil, nil, []string{"a b"}}, false},
	} {
		var msg message
		b := c.u.append(appendMessage(nil, &message{typ: messageGossip}))
		if err := decodeMessage(b, &msg); (err == nil) != c.ok {
			t.Errorf("%s: %x: %v", c.name, b, err)
		}
	}
}

// TestBlockBounds: at most UpdatesMax updates, UpdateBytesMax bytes and one datagram (requirements 1.3).
func TestBlockBounds(t *testing.T) {
	small := row("n", Left, 1)
	var msg message
	if err := decodeMessage(gossipOf(slices.Repeat([]*member{small}, UpdatesMax)...), &msg); err != nil {
		t.Errorf("%d updates: %v", UpdatesMax, err)
	}
	if err := decodeMessage(gossipOf(slices.Repeat([]*member{small}, UpdatesMax+1)...), &msg); err == nil {
		t.Errorf("%d updates: accepted", UpdatesMax+1)
	}

	large := row(strings.Repeat("x", IDMax), Alive, IncarnationMax-1)
	for i := range 5 { // as long as an update gets: the tags are the longest part of one
		large.setTags(append(large.tags(), Tag{fmt.Sprint(i), strings.Repeat("v", 100)}))
	}
	block := (*Node)(nil).appendUpdate(nil, large)
	if len(block) > updateBytes {
		t.Errorf("an update of %d bytes, more than updateBytes %d", len(block), updateBytes)
	}
	fit := UpdateBytesMax / len(block)
	if err := checkUpdates(bytes.Repeat(block, fit), UpdatesMax, UpdateBytesMax); err != nil {
		t.Errorf("%d bytes of updates: %v", fit*len(block), err)
	}
	if err := checkUpdates(bytes.Repeat(block, fit+1), UpdatesMax, UpdateBytesMax); err == nil {
		t.Errorf("%d bytes of updates: accepted", (fit+1)*len(block))
	}

	filler := row("filler", Alive, 1)
	filler.setTags(Tags{{"a", strings.Repeat("v", 200)}, {"b", strings.Repeat("v", 200)}, {"c", ""}})
	for size := 0; size <= DatagramMax; filler.tags()[2].Value += "v" {
		datagram := gossipOf(large, filler, row(strings.Repeat("y", 50), Left, 1))
		size = len(datagram)
		if err := decodeMessage(datagram, &msg); (err == nil) != (size <= DatagramMax) {
			t.Errorf("a datagram of %d bytes: %v", size, err)
		}
	}
}

func TestUnknownVersionAndType(t *testing.T) {
	var msg message
	for v := range 256 {
		b := gossipOf(row("n2", Alive, 1))
		b[0] = byte(v)
		if err := decodeMessage(b, &msg); (err == nil) != (v == wireVersion) {
			t.Errorf("version %d: %v", v, err)
		}
		head := append([]byte{wireVersion, byte(v)}, make([]byte, 64)...) // long enough for any head; no update is all zeros
		if err := decodeMessage(head, &msg); err == nil {
			t.Errorf("type %d: zeros accepted", v)
		}
		if err := decodeMessage(head[:2], &msg); (err == nil) != (v == int(messageGossip)) {
			t.Errorf("type %d alone: %v", v, err)
		}
	}
}

// TestClampMS: a wish from the wire stays far inside what a duration holds.
func TestClampMS(t *testing.T) {
	if clampMS(math.MaxUint64) != math.MaxInt32 || clampMS(1500) != 1500 {
		t.Errorf("clampMS: %d, %d", clampMS(math.MaxUint64), clampMS(1500))
	}
}
