//go:build !linux

package quicnet

import "net"

// watchErrors does nothing here: what the network says about unreachable ports is heard on Linux only.
func (s *socket) watchErrors() error { return nil }

// healed reports whether err says nothing of the socket, but of the packet that is written alone.
func (s *socket) healed(err error, writing bool) bool { return writing && aboutThisPacket(err) }

// bufferSizes says that all is well: this system does not tell.
func bufferSizes(*net.UDPConn) (read, write int) { return socketBuffer, socketBuffer }
