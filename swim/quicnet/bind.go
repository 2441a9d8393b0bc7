package quicnet

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// bindAttempts bounds the search for a port that is free for both, where the system chooses.
const bindAttempts = 16

// sockets are what a transport binds: UDP, and for tethers TCP at the same address and port.
type sockets struct {
	udp   *net.UDPConn
	tcp   *net.TCPListener // nil where it could not be had
	noTCP error            // why not
}

// bind takes the address. With port 0 the system chooses a port, and again while that one is not free for TCP too.
func bind(addr netip.AddrPort) (s sockets, err error) {
	network := ""
	if addr.Addr().Is4() {
		network = "4"
	}
	for attempt := 1; ; attempt++ {
		if s.udp, err = net.ListenUDP("udp"+network, net.UDPAddrFromAddrPort(addr)); err != nil {
			return sockets{}, err
		}
		s.tcp, s.noTCP = listenTCP("tcp"+network, s.udp.LocalAddr().String())
		if s.noTCP == nil || addr.Port() != 0 || attempt == bindAttempts {
			return s, nil
		}
		if err = s.udp.Close(); err != nil {
			return sockets{}, err
		}
	}
}

// listenTCP listens for connections on which nothing moves: no keepalives, and no multipath, which has its own idea of
// when a connection is over.
func listenTCP(network, addr string) (*net.TCPListener, error) {
	config := net.ListenConfig{KeepAlive: -1}
	config.SetMultipathTCP(false)
	listener, err := config.Listen(context.Background(), network, addr)
	if err != nil {
		return nil, err
	}
	return listener.(*net.TCPListener), nil
}

func (s sockets) close() error {
	var tcp error
	if s.tcp != nil {
		tcp = s.tcp.Close()
	}
	return errors.Join(s.udp.Close(), tcp)
}
