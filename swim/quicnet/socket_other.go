//go:build !linux

package quicnet

import "net"

// watchErrors does nothing here: what the network says about unreachable ports is heard on Linux only.
func (s *socket) watchErrors() error { return nil }

func (s *socket) healed(error, bool) bool { return false }

// bufferSizes says that all is well: this system does not tell.
func bufferSizes(*net.UDPConn) (read, write int) { return socketBuffer, socketBuffer }
