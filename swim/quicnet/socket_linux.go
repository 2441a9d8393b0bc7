package quicnet

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// watchErrors makes the socket hear what the network says about packets sent before: Linux keeps such ICMP messages in its error
// queue, with the address each packet went to, once IP_RECVERR is set.
//
// The price is that reads and writes fail with errors that belong to other packets, and quic-go takes a failed read for
// the end of the socket: see healed. It needs no goroutine, since whoever takes an error off empties the queue.
func (s *socket) watchErrors() error {
	var v4, v6 error
	err := s.raw.Control(func(fd uintptr) {
		v4 = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1)
		v6 = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
	})
	if err != nil {
		return err
	}
	if v4 != nil && v6 != nil { // one of them always fails on a socket of one family
		return errors.Join(v4, v6)
	}
	return nil
}

// healed reports whether err, of a read or a write, says nothing of the socket, so that it may be tried again: it belongs to an
// earlier packet, or to the one that is written alone. It passes on the addresses whose port is closed.
func (s *socket) healed(err error, writing bool) bool {
	if !aboutEarlierPacket(err) && !(writing && aboutThisPacket(err)) {
		return false
	}
	s.drain()
	return true
}

// aboutEarlierPacket reports whether err is one that ICMP messages turn into.
func aboutEarlierPacket(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENONET, unix.ENOPROTOOPT,
		unix.EPROTO, unix.EOPNOTSUPP, unix.EACCES, unix.EMSGSIZE:
		return true
	default:
		return false
	}
}

// drain empties the error queue, which the kernel bounds by the receive buffer.
func (s *socket) drain() {
	var oob [512]byte
	_ = s.raw.Control(func(fd uintptr) {
		for {
			// The packet that failed is not looked at, so no room is given for it.
			_, n, _, from, err := unix.Recvmsg(int(fd), nil, oob[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				return
			}
			if !portClosed(oob[:n]) {
				continue
			}
			select {
			case s.refused <- destination(from):
			default:
			}
		}
	})
}

// portClosed reports whether a control message is an ICMP port unreachable. Other messages speak of routes, not of the
// peer, and QUIC finds out by itself.
func portClosed(oob []byte) bool {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return false
	}
	for _, m := range messages {
		v4 := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR
		v6 := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		// struct sock_extended_err: errno (4 bytes), origin (1), type, code, …
		if (!v4 && !v6) || len(m.Data) < 5 {
			continue
		}
		errno := syscall.Errno(binary.NativeEndian.Uint32(m.Data))
		origin := m.Data[4]
		if errno == unix.ECONNREFUSED && (origin == unix.SO_EE_ORIGIN_ICMP || origin == unix.SO_EE_ORIGIN_ICMP6) {
			return true
		}
	}
	return false
}

// destination is where the packet that failed was going.
func destination(a unix.Sockaddr) netip.AddrPort {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return unmap(netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)))
	default:
		return netip.AddrPort{}
	}
}

// bufferSizes returns what the system gave, in bytes of packets.
func bufferSizes(conn *net.UDPConn) (read, write int) {
	read, write = socketBuffer, socketBuffer // unless known better
	raw, err := conn.SyscallConn()
	if err != nil {
		return read, write
	}
	_ = raw.Control(func(fd uintptr) {
		// The kernel counts double, for its own bookkeeping.
		if n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF); err == nil {
			read = n / 2
		}
		if n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF); err == nil {
			write = n / 2
		}
	})
	return read, write
}
