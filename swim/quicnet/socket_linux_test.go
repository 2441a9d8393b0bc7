package quicnet

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"rollcall/infra/loopback"
)

// TestWriterTakesErrorsOffToo: the news of a closed port reaches the pool, and the packet of somebody else its goal, also
// when the kernel hands the error to a write.
func TestWriterTakesErrorsOffToo(t *testing.T) {
	listen := func() *net.UDPConn {
		conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(anyPort))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	from, live := listen(), listen()
	closed := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(loopback.Addr(t)))
	refused := make(chan netip.AddrPort, 1)
	s, err := newSocket(from, newScreen(&counters{}), refused)
	if err != nil {
		t.Fatal(err)
	}
	// On loopback the message is back before the write returns, and nobody reads from this socket.
	for _, to := range []*net.UDPAddr{closed, live.LocalAddr().(*net.UDPAddr)} {
		if n, _, err := s.WriteMsgUDP([]byte("packet"), nil, to); n != 6 || err != nil {
			t.Fatalf("write to %v: %d, %v", to, n, err)
		}
	}
	select {
	case addr := <-refused:
		if addr != addrPort(closed) {
			t.Errorf("%v reported, want %v", addr, closed)
		}
	case <-time.After(patience):
		t.Error("the closed port was not reported")
	}
	_ = live.SetReadDeadline(time.Now().Add(patience))
	buffer := make([]byte, 16)
	if n, err := live.Read(buffer); err != nil || string(buffer[:n]) != "packet" {
		t.Errorf("the other packet: %q, %v", buffer[:n], err)
	}
}
