package swim

import (
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
)

// wireVersion is the first byte of every datagram and state block. docs/formats/wire.md describes both.
const wireVersion = 1

// Bounds of an update block (requirements 1.3); the datagram is the tighter one.
const (
	UpdatesMax     = 20
	UpdateBytesMax = 4096
)

// accusersWireMax bounds the accusers that one update names. More than a quorum and the suspicion's shrink steps never
// change anything.
const accusersWireMax = 8

// messageType is the second byte of a datagram.
type messageType uint8

const (
	messagePing    messageType = iota + 1 // seq, incarnation, digest, flags
	messageAck                            // seq, incarnation, digest, due
	messagePingReq                        // seq, wait, target
	messageNack                           // seq
	messageGossip                         // nothing but updates
)

// flagRegular marks a ping of the sender's steady schedule: its ack says when the next one is due.
const flagRegular = 1

// message is a decoded datagram without its updates. Fields that a type does not carry are zero.
type message struct {
	typ         messageType
	flags       uint8
	seq         uint32
	incarnation uint64 // of the sender
	digest      uint64 // of the sender's view
	dueMS       uint64 // ack: the observer's next regular ping is wanted in so many milliseconds; 0: no wish
	waitMS      uint64 // ping-req: how long the requester waited for the target itself
	target      Peer   // ping-req
	updates     []byte // the encoded update block, checked by updateReader
}

// update is one member's claim on the wire. Byte slices point into the datagram.
type update struct {
	id       []byte
	claim    claim
	addr     netip.AddrPort // zero when absent
	tags     []byte         // encoded, checked; nil when absent
	accusers []byte         // encoded, checked; nil when absent
}

// Bits beside the state in an update's first byte.
const (
	updateStateMask   = 0x07
	updateHasAddr     = 0x10
	updateHasTags     = 0x20
	updateHasAccusers = 0x40
	updateReserved    = 0x88 // zero in this version: what a later one announces with them could not be read
)

var errMalformed = errors.New("swim: malformed packet")

// appendMessage encodes the head of m; updates follow it.
func appendMessage(b []byte, m *message) []byte {
	b = append(b, wireVersion, byte(m.typ))
	if m.typ == messageGossip {
		return b
	}
	b = binary.BigEndian.AppendUint32(b, m.seq)
	switch m.typ {
	case messagePing:
		b = append(b, m.flags)
		b = binary.AppendUvarint(b, m.incarnation)
		b = binary.BigEndian.AppendUint64(b, m.digest)
	case messageAck:
		b = binary.AppendUvarint(b, m.incarnation)
		b = binary.BigEndian.AppendUint64(b, m.digest)
		b = binary.AppendUvarint(b, m.dueMS)
	case messagePingReq:
		b = binary.AppendUvarint(b, m.waitMS)
		b = appendID(b, m.target.ID)
		b = appendAddr(b, m.target.Addr)
	}
	return b
}

// decodeMessage reads a datagram's head and leaves its updates encoded. target.ID points to a copy only for a ping-req.
func decodeMessage(b []byte, m *message) error {
	if len(b) > DatagramMax {
		return errMalformed
	}
	r := reader{b: b}
	if r.byte() != wireVersion {
		return errMalformed
	}
	*m = message{typ: messageType(r.byte())}
	if m.typ < messagePing || m.typ > messageGossip {
		return errMalformed
	}
	if m.typ != messageGossip {
		m.seq = r.uint32()
	}
	switch m.typ {
	case messagePing:
		m.flags = r.byte()
		m.incarnation = r.uvarint()
		m.digest = r.uint64()
	case messageAck:
		m.incarnation = r.uvarint()
		m.digest = r.uint64()
		m.dueMS = r.uvarint()
	case messagePingReq:
		m.waitMS = r.uvarint()
		id := r.id()
		m.target.Addr = r.addr()
		if !r.bad {
			m.target.ID = ID(id)
		}
	}
	if r.bad {
		return errMalformed
	}
	m.updates = r.b
	return checkUpdates(m.updates, UpdatesMax, UpdateBytesMax)
}

// checkUpdates walks a block once, so that what is applied later is known to be whole.
func checkUpdates(b []byte, count, size int) error {
	if len(b) > size {
		return errMalformed
	}
	r := reader{b: b}
	var u update
	for n := 0; len(r.b) > 0; n++ {
		if n == count || !r.update(&u) {
			return errMalformed
		}
	}
	return nil
}

func appendID(b []byte, id ID) []byte {
	b = append(b, byte(len(id)))
	return append(b, id...)
}

func appendAddr(b []byte, a netip.AddrPort) []byte {
	ip := a.Addr().Unmap()
	if ip.Is4() {
		v := ip.As4()
		b = append(b, 4)
		b = append(b, v[:]...)
	} else {
		v := ip.As16()
		b = append(b, 16)
		b = append(b, v[:]...)
	}
	return binary.BigEndian.AppendUint16(b, a.Port())
}

// appendTags encodes tags as their total size, then each key and value behind its length.
func appendTags(b []byte, tags Tags) []byte {
	size := 0
	for _, t := range tags {
		size += 1 + len(t.Key) + 2 + len(t.Value)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(size))
	for _, t := range tags {
		b = append(b, byte(len(t.Key)))
		b = append(b, t.Key...)
		b = binary.BigEndian.AppendUint16(b, uint16(len(t.Value)))
		b = append(b, t.Value...)
	}
	return b
}

// decodeTags makes Tags of what reader.update checked.
func decodeTags(b []byte) Tags {
	var tags Tags
	r := reader{b: b}
	for len(r.b) > 0 && !r.bad {
		key := r.take(int(r.byte()))
		value := r.take(int(r.uint16()))
		tags = append(tags, Tag{string(key), string(value)})
	}
	return tags
}

// equalTags reports whether encoded tags are t, without allocating.
func equalTags(b []byte, t Tags) bool {
	r := reader{b: b}
	for _, tag := range t {
		if len(r.b) == 0 {
			return false
		}
		if string(r.take(int(r.byte()))) != tag.Key || string(r.take(int(r.uint16()))) != tag.Value {
			return false
		}
	}
	return len(r.b) == 0
}

// reader consumes a packet. After any short read it is bad and yields zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if v := r.take(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if v := r.take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if v := r.take(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) id() []byte {
	id := r.take(int(r.byte()))
	if !validID(id) {
		r.bad = true
	}
	return id
}

func validID(id []byte) bool {
	if len(id) == 0 || len(id) > IDMax {
		return false
	}
	for _, c := range id {
		if !idByte(c) {
			return false
		}
	}
	return true
}

func (r *reader) addr() netip.AddrPort {
	var ip netip.Addr
	switch v := r.take(int(r.byte())); len(v) {
	case 4:
		ip = netip.AddrFrom4([4]byte(v))
	case 16:
		ip = netip.AddrFrom16([16]byte(v)).Unmap()
	default:
		r.bad = true
	}
	port := r.uint16()
	if port == 0 || ip.IsUnspecified() {
		r.bad = true
	}
	return netip.AddrPortFrom(ip, port)
}

// update reads one update and checks every bound of it.
func (r *reader) update(u *update) bool {
	head := r.byte()
	*u = update{claim: claim{state: State(head & updateStateMask)}}
	u.id = r.id()
	u.claim.incarnation = r.uvarint()
	if head&updateHasAddr != 0 {
		u.addr = r.addr()
	}
	if head&updateHasTags != 0 {
		u.tags = r.take(int(r.uint16()))
		if !validTags(u.tags) {
			r.bad = true
		}
	}
	if head&updateHasAccusers != 0 {
		u.accusers = r.accusers()
	}
	if head&updateReserved != 0 {
		r.bad = true
	}
	if u.claim.state < Alive || u.claim.state > Left || u.claim.incarnation == 0 || u.claim.incarnation >= IncarnationMax {
		r.bad = true
	}
	if u.claim.state == Alive && !u.addr.IsValid() {
		r.bad = true // an alive claim that nobody could act on
	}
	return !r.bad
}

// accusers reads a bounded list of ids and returns it encoded.
func (r *reader) accusers() []byte {
	n := int(r.byte())
	if n > accusersWireMax {
		r.bad = true
		return nil
	}
	from := r.b
	for range n {
		r.accuser()
	}
	if r.bad {
		return nil
	}
	return from[:len(from)-len(r.b)]
}

// accuserSilent marks, in the length of an accuser's id, one that never spoke.
const accuserSilent = 0x80

func appendAccuser(b []byte, id ID, silent bool) []byte {
	at := len(b)
	b = appendID(b, id)
	if silent {
		b[at] |= accuserSilent
	}
	return b
}

// accuser reads one accuser of a list.
func (r *reader) accuser() (id []byte, silent bool) {
	head := r.byte()
	id = r.take(int(head &^ accuserSilent))
	if !validID(id) {
		r.bad = true
	}
	return id, head&accuserSilent != 0
}

// validTags checks encoded tags against the rules of [Tags.Validate] without allocating.
func validTags(b []byte) bool {
	if len(b) > TagsBytesMax+3*TagsMax {
		return false
	}
	r := reader{b: b}
	total, count := 0, 0
	var last []byte
	for len(r.b) > 0 {
		key := r.take(int(r.byte()))
		value := r.take(int(r.uint16()))
		if r.bad || len(key) == 0 || len(key) > TagKeyMax || len(value) > TagValueMax {
			return false
		}
		if count > 0 && string(last) >= string(key) {
			return false
		}
		last = key
		count++
		total += len(key) + len(value)
	}
	return count <= TagsMax && total <= TagsBytesMax
}

// clampMS turns a number of milliseconds from the wire into one that arithmetic cannot overflow.
func clampMS(ms uint64) int64 { return int64(min(ms, math.MaxInt32)) }
