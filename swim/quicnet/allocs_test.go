package quicnet

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"rollcall/swim"
)

// The ways of a packet are walked by what probes: at rest a member does little else. quic-go allocates for each datagram and
// frame; what is ours allocates nothing.
const packetsMeasured = 1000

// TestSocketAllocatesNothing: neither to write a packet nor to read and screen one that a known address sent; and what the screen
// drops is not read at all.
func TestSocketAllocatesNothing(t *testing.T) {
	s, to := screenedSocket(t)
	packet, read := make([]byte, pingSize), make([]byte, 1452)
	messages := []ipv4.Message{{Buffers: [][]byte{read}, OOB: make([]byte, 128)}}
	var sent uint64
	packet[0] = 0x40
	exchange := func() {
		sent++
		binary.BigEndian.PutUint64(packet[1:], sent)
		for range 2 { // the second is a copy
			if _, _, err := s.WriteMsgUDP(packet, nil, to); err != nil {
				t.Fatal(err)
			}
		}
		n, err := s.ReadBatch(messages, 0)
		if err != nil || n != 1 || messages[0].N != pingSize || binary.BigEndian.Uint64(read[1:]) != sent {
			t.Fatalf("packet %d: %d read, %v: %x", sent, n, err, read[:messages[0].N])
		}
	}
	if n := testing.AllocsPerRun(packetsMeasured, exchange); n != 0 {
		t.Errorf("%v allocations a packet, want none", n)
	}
	if from := messages[0].Addr; addrPort(from) != addrPort(to) {
		t.Errorf("read from %v, want %v", from, to)
	}
	if replayed := s.screen.stats.replayed.Load(); replayed != sent-1 { // the last copy has not been read
		t.Errorf("%d copies were dropped, want %d", replayed, sent-1)
	}
}

// TestSocketReadsOneByOne is the same for systems where quic-go reads with ReadFrom.
func TestSocketReadsOneByOne(t *testing.T) {
	s, to := screenedSocket(t)
	for _, packet := range []string{"@one", "@one", "\x00 no QUIC", "@two"} {
		if _, _, err := s.WriteMsgUDP([]byte(packet), nil, to); err != nil {
			t.Fatal(err)
		}
	}
	read := make([]byte, 1452)
	for _, want := range []string{"@one", "@two"} {
		if n, from, err := s.ReadFrom(read); err != nil || string(read[:n]) != want || addrPort(from) != addrPort(to) {
			t.Errorf("%q from %v, %v; want %q from %v", read[:n], from, err, want, to)
		}
	}
	_ = s.SetReadDeadline(time.Now())
	if n, from, err := s.ReadFrom(read); err == nil || from != nil {
		t.Errorf("%d bytes from %v, %v; want nothing more", n, from, err)
	}
}

// TestSocketForgetsAddresses: strangers do not fill its memory.
func TestSocketForgetsAddresses(t *testing.T) {
	s, _ := screenedSocket(t)
	for i := range 2 * addrsMax {
		addr := netip.AddrPortFrom(netip.IPv6Loopback(), uint16(i))
		if got := s.addr(addr); addrPort(got) != addr {
			t.Fatalf("%v for %v", got, addr)
		}
	}
	if len(s.addrs) > addrsMax {
		t.Errorf("%d addresses are remembered, at most %d wanted", len(s.addrs), addrsMax)
	}
}

// screenedSocket is one that sends to itself.
func screenedSocket(t *testing.T) (*socket, *net.UDPAddr) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(anyPort))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	s, err := newSocket(conn, newScreen(&counters{}), make(chan netip.AddrPort, refusedMax))
	if err != nil {
		t.Fatal(err)
	}
	return s, conn.LocalAddr().(*net.UDPAddr)
}

// TestSendAllocatesNothing: from the caller to the queue of a peer, and out of one that is full.
func TestSendAllocatesNothing(t *testing.T) {
	c := newCluster(t, "test")
	a := c.member("a")
	silent, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(anyPort))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	to, ping := swim.Peer{ID: "b", Addr: addrPort(silent.LocalAddr())}, make([]byte, pingSize)
	if n := testing.AllocsPerRun(packetsMeasured, func() { a.Send(to, ping) }); n != 0 {
		t.Errorf("%v allocations a datagram, want none", n)
	}
	if s := a.Stats(); s.DroppedQueueFull != packetsMeasured+1-sendQueueMax {
		t.Errorf("%d datagrams fell out of the queue, want %d", s.DroppedQueueFull, packetsMeasured+1-sendQueueMax)
	}
}

// TestPingAllocations bounds what a ping and its ack allocate at both ends, quic-go's part included: 15, and 40 with its connections
// traced; see drops.
func TestPingAllocations(t *testing.T) {
	near, far := pair(t)
	to := swim.Peer{ID: "far", Addr: far.transport.LocalAddr()}
	ping := make([]byte, pingSize)
	// A datagram may be lost, and an exchange makes sure of the connection.
	if _, _, err := near.transport.Exchange(t.Context(), to, nil); err != nil {
		t.Fatal(err)
	}
	lost := time.NewTimer(patience)
	defer lost.Stop()
	n := testing.AllocsPerRun(packetsMeasured, func() {
		near.transport.Send(to, ping)
		select {
		case <-near.arrived:
		case <-lost.C:
			t.Fatal("a ping got lost on loopback")
		}
	})
	const most = 28 // the race detector's and a busy machine's share included
	if n > most {
		t.Errorf("%v allocations a ping, at most %d wanted", n, most)
	}
}
