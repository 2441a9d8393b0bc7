//go:build unix

package quicnet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
)

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
	for _, e := range []syscall.Errno{syscall.ENOBUFS, syscall.ENOMEM, syscall.EPERM, syscall.ENETDOWN} {
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
