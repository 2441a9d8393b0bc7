package quicnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
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

func pair(tb testing.TB) (near, far *echo) {
	tb.Helper()
	ca, err := certs.NewCA("bench", time.Now(), 0)
	if err != nil {
		tb.Fatal(err)
	}
	near, far = &echo{arrived: make(chan []byte, 1)}, &echo{}
	near.start(tb, ca, "near")
	far.start(tb, ca, "far")
	return near, far
}

// start begins to listen, until the test or benchmark ends.
func (e *echo) start(tb testing.TB, ca *certs.CA, id swim.ID) {
	tb.Helper()
	identity, err := ca.Identity(string(id), time.Now(), 0)
	if err != nil {
		tb.Fatal(err)
	}
	e.transport, err = Listen(Config{Cluster: "bench", ID: id, Bind: anyPort, Credentials: identity})
	if err != nil {
		tb.Fatal(err)
	}
	e.transport.Serve(e)
	tb.Cleanup(func() { _ = e.transport.Close(context.Background()) })
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

// BenchmarkIdleConnection is what a connection holds at each of its ends between two messages: heap, stacks and goroutines.
func BenchmarkIdleConnection(b *testing.B) {
	const others = 64
	ca, err := certs.NewCA("bench", time.Now(), 0)
	if err != nil {
		b.Fatal(err)
	}
	near, peers := &echo{}, make([]swim.Peer, others)
	near.start(b, ca, "near")
	for i := range peers {
		far := &echo{}
		id := swim.ID(fmt.Sprintf("far%d", i))
		far.start(b, ca, id)
		peers[i] = swim.Peer{ID: id, Addr: far.transport.LocalAddr()}
	}
	held := func() (heap, stack, goroutines float64) {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what the first one moved out of pools
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc), float64(m.StackInuse), float64(runtime.NumGoroutine())
	}
	heap, stack, goroutines := held()
	for b.Loop() {
		for _, to := range peers { // the first time they are dialled, later they are there
			if _, _, err := near.transport.Exchange(b.Context(), to, nil); err != nil {
				b.Fatal(err)
			}
		}
	}
	heapAfter, stackAfter, goroutinesAfter := held()
	b.ReportMetric((heapAfter-heap)/(2*others), "heap-B/end")
	b.ReportMetric((stackAfter-stack)/(2*others), "stack-B/end")
	b.ReportMetric((goroutinesAfter-goroutines)/(2*others), "goroutines/end")
}
