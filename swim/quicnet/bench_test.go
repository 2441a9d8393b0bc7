package quicnet

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"rollcall/infra/certs"
	"rollcall/swim"
)

const pingSize = 200 // bytes: a ping with a few updates

// echo sends every datagram back, or hands it to the one who waits.
type echo struct {
	transport *Transport
	arrived   chan []byte // nil sends back
}

func (e *echo) HandleDatagram(from swim.ID, addr netip.AddrPort, datagram []byte) {
	if e.arrived != nil {
		e.arrived <- datagram
		return
	}
	e.transport.Send(swim.Peer{ID: from, Addr: addr}, datagram)
}

func (*echo) HandleExchange(_ context.Context, _ swim.ID, _ netip.AddrPort, request []byte) ([]byte, error) {
	return request, nil
}

func (*echo) HandleDown(swim.ID, netip.AddrPort, swim.Down) {}

func pair(b *testing.B) (near, far *echo) {
	b.Helper()
	ca, err := certs.NewCA("bench", time.Now(), 0)
	if err != nil {
		b.Fatal(err)
	}
	start := func(id swim.ID, e *echo) {
		identity, err := ca.Identity(string(id), time.Now(), 0)
		if err != nil {
			b.Fatal(err)
		}
		e.transport, err = Listen(Config{Cluster: "bench", ID: id, Bind: anyPort, Credentials: identity})
		if err != nil {
			b.Fatal(err)
		}
		e.transport.Serve(e)
		b.Cleanup(func() { _ = e.transport.Close(context.Background()) })
	}
	near, far = &echo{arrived: make(chan []byte, 1)}, &echo{}
	start("near", near)
	start("far", far)
	return near, far
}

// BenchmarkPingPong is a ping and its ack over a warm connection. allocs/op counts both ends.
func BenchmarkPingPong(b *testing.B) {
	near, far := pair(b)
	to := swim.Peer{ID: "far", Addr: far.transport.LocalAddr()}
	ping := make([]byte, pingSize)
	b.ReportAllocs()
	for b.Loop() {
		near.transport.Send(to, ping)
		<-near.arrived
	}
}

// BenchmarkPingPongUDP is the same over bare sockets: what the network itself costs.
func BenchmarkPingPongUDP(b *testing.B) {
	listen := func() *net.UDPConn {
		conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(anyPort))
		if err != nil {
			b.Fatal(err)
		}
		return conn
	}
	near, far := listen(), listen()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, swim.DatagramMax)
		for {
			n, from, err := far.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			_, _ = far.WriteToUDPAddrPort(buffer[:n], from)
		}
	}()
	to, ping := addrPort(far.LocalAddr()), make([]byte, pingSize)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := near.WriteToUDPAddrPort(ping, to); err != nil {
			b.Fatal(err)
		}
		if _, _, err := near.ReadFromUDPAddrPort(ping); err != nil {
			b.Fatal(err)
		}
	}
	_, _ = near.Close(), far.Close()
	<-done
}

// BenchmarkExchange is a state exchange of 64 KiB each way over a warm connection.
func BenchmarkExchange(b *testing.B) {
	near, far := pair(b)
	to := swim.Peer{ID: "far", Addr: far.transport.LocalAddr()}
	state := make([]byte, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := near.transport.Exchange(b.Context(), to, state); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHandshake is a first exchange with a peer: dial, mutual TLS, one small stream, close.
func BenchmarkHandshake(b *testing.B) {
	near, far := pair(b)
	to := swim.Peer{ID: "far", Addr: far.transport.LocalAddr()}
	for b.Loop() {
		if _, _, err := near.transport.Exchange(b.Context(), to, nil); err != nil {
			b.Fatal(err)
		}
		near.transport.mu.Lock()
		l := near.transport.peers["far"].link
		near.transport.closeLocked(l, codeIdle)
		near.transport.mu.Unlock()
	}
}
