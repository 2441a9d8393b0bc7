package loopback_test

import (
	"net"
	"testing"

	"rollcall/infra/loopback"
)

// Each is given once, can be bound again and again, and is none that the system gives to whoever asks for any.
func TestPortsStayOnes(t *testing.T) {
	given := make(map[int]bool)
	for _, port := range append(loopback.Ports(t, 50), loopback.Ports(t, 50)...) {
		if given[port] || port >= 32_768 {
			t.Errorf("port %d, after %v", port, given)
		}
		given[port] = true
	}
	address := loopback.Addr(t)
	for range 3 {
		stream, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		packets, err := net.ListenPacket("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		stream.Close()
		packets.Close()
	}
}
