//go:build !linux

package quicnet

import (
	"net"
	"net/netip"
)

// watchErrors does nothing here: what the network says about unreachable ports is heard on Linux only.
func watchErrors(conn *net.UDPConn, _ chan<- netip.AddrPort) (net.PacketConn, error) {
	return conn, nil
}

// bufferSizes says that all is well: this system does not tell.
func bufferSizes(*net.UDPConn) (read, write int) { return socketBuffer, socketBuffer }
