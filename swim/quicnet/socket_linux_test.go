package quicnet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// TestPacketThatDoesNotLeaveEndsNothing: where this host's own queue is full, a firewall's rule refuses a packet, or the
// interface is down, that packet is lost and the connection goes on.
func TestPacketThatDoesNotLeaveEndsNothing(t *testing.T) {
	c := newCluster(t, "test")
	b := c.member("b")
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(anyPort))
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan netip.AddrPort, refusedMax)
	stats := &counters{}
	s, err := newSocket(conn, newScreen(stats), refused)
	if err != nil {
		t.Fatal(err)
	}
	var errno atomic.Int64
	s.write = func(packet, oob []byte, to netip.AddrPort) (int, int, error) {
		if e := syscall.Errno(errno.Load()); e != 0 {
			return 0, 0, &net.OpError{Op: "write", Net: "udp", Err: os.NewSyscallError("sendmsg", e)}
		}
		return conn.WriteMsgUDPAddrPort(packet, oob, to)
	}
	config := c.config("a")
	config.handshakeLimit, config.Limits.Exchange = patience, patience
	config.Limits = config.Limits.withDefaults()
	transport, err := listenOn(config, s, refused, stats)
	if err != nil {
		t.Fatal(err)
	}
	a := &member{Transport: transport, t: t, id: config.ID, identity: config.Credentials}
	transport.Serve(a)
	t.Cleanup(func() {
		if err := transport.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	a.ask(b.peer(), "before")
	for _, e := range []syscall.Errno{unix.ENOBUFS, unix.ENOMEM, unix.EPERM, unix.ENETDOWN} {
		before := a.Stats().DroppedByHost
		errno.Store(int64(e))
		a.Send(b.peer(), []byte("lost to "+e.Error()))
		eventually(t, "a packet that the host refuses is counted", func() bool { return a.Stats().DroppedByHost > before })
		errno.Store(0)
		a.Send(b.peer(), []byte("after "+e.Error()))
		b.hears("a", "after "+e.Error())
	}
	if s := a.Stats(); s.Dials != 1 || s.Connections != 1 {
		t.Errorf("%d dials and %d connections, want the first one all the time", s.Dials, s.Connections)
	}
}
