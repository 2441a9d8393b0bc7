package quicnet

import (
	"errors"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/net/ipv4"
)

// addrsMax bounds the remembered addresses of senders: more than a pool has by default. At it all are forgotten, and each costs
// an allocation again.
const addrsMax = 1024

// socket is the UDP socket as quic-go sees it. On the way in it is screened; on the way in and out, errors that are
// none of the socket's are taken off (see healed); and neither way allocates: x/net's reading of batches makes an address for
// each packet, though the same few peers send them all, and a packet a system call is what pings come in anyway.
type socket struct {
	*net.UDPConn
	screen  *screen
	addrs   map[netip.AddrPort]*net.UDPAddr // of those who sent; shared with quic-go, which only reads them
	raw     syscall.RawConn
	refused chan<- netip.AddrPort // a full channel drops: the next packet brings the next message

	write func(b, oob []byte, to netip.AddrPort) (n, oobn int, err error) // the UDPConn's
}

// newSocket wraps conn. Addresses that the network calls unreachable are sent to refused, where the system tells.
func newSocket(conn *net.UDPConn, screen *screen, refused chan<- netip.AddrPort) (*socket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &socket{
		UDPConn: conn, screen: screen, addrs: map[netip.AddrPort]*net.UDPAddr{}, raw: raw, refused: refused,
		write: conn.WriteMsgUDPAddrPort,
	}
	return s, s.watchErrors()
}

// ReadBatch is what quic-go reads with on Unix, in one goroutine.
func (s *socket) ReadBatch(messages []ipv4.Message, _ int) (n int, err error) {
	m := &messages[0]
	var from *net.UDPAddr
	if m.N, m.NN, m.Flags, from, err = s.read(m.Buffers[0], m.OOB); err != nil {
		return 0, err
	}
	m.Addr = from
	return 1, nil
}

// ReadFrom is what quic-go reads with elsewhere.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, _, from, err := s.read(b, nil)
	if err != nil {
		return 0, nil, err
	}
	return n, from, nil
}

func (s *socket) read(b, oob []byte) (n, oobn, flags int, from *net.UDPAddr, err error) {
	for {
		var addr netip.AddrPort
		n, oobn, flags, addr, err = s.ReadMsgUDPAddrPort(b, oob)
		switch {
		case err != nil && !s.healed(err, false):
			return 0, 0, 0, nil, err
		case err == nil && s.screen.passes(b[:n], len(b)):
			return n, oobn, flags, s.addr(addr), nil
		}
	}
}

func (s *socket) addr(of netip.AddrPort) *net.UDPAddr {
	addr, known := s.addrs[of]
	if !known {
		if len(s.addrs) == addrsMax {
			clear(s.addrs)
		}
		addr = net.UDPAddrFromAddrPort(of)
		s.addrs[of] = addr
	}
	return addr
}

// WriteMsgUDP is what quic-go writes with on Unix.
func (s *socket) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	// Each failed write takes one pending error off, so the second try nearly always goes out. If not, or if this very packet
	// may not leave the host, it counts as lost on the way: for QUIC an error would be the end of the connection.
	to := addr.AddrPort()
	for range 3 {
		n, oobn, err = s.write(b, oob, to)
		if err == nil || !s.healed(err, true) {
			return n, oobn, err
		}
	}
	s.screen.stats.byHost.Add(1)
	return len(b), len(oob), nil
}

// aboutThisPacket reports whether err says that the host itself keeps a packet back, and nothing of the socket: a full queue
// or no memory, a firewall's rule, an interface that is down. Linux would not tell of a full queue without IP_RECVERR; others do.
func aboutThisPacket(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case syscall.ENOBUFS, syscall.ENOMEM, syscall.EPERM, syscall.ENETDOWN:
		return true
	default:
		return false
	}
}
