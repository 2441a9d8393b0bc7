package quicnet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/swim"
)

func TestCloseTwice(t *testing.T) {
	c := newCluster(t, "test")
	a, b := c.member("a", ownPort(t)), c.member("b")
	a.ask(b.peer(), "hello")
	var closers sync.WaitGroup
	for range 4 {
		closers.Go(func() {
			if err := a.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	closers.Go(a.Kill)
	closers.Wait()
	a.Send(b.peer(), []byte("too late"))
	a.Warm(b.peer())
	if _, _, err := a.Exchange(t.Context(), b.peer(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("exchange: %v, want ErrClosed", err)
	}
	if s := a.Stats(); s.Connections != 0 || s.Peers != 0 {
		t.Errorf("%+v: something is left open", s)
	}
	if socket, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(a.LocalAddr())); err != nil {
		t.Errorf("the address is still taken: %v", err)
	} else {
		_ = socket.Close()
	}
}

func TestCloseWithoutServe(t *testing.T) {
	transport, err := Listen(newCluster(t, "test").config("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := transport.Close(t.Context()); err != nil {
		t.Error(err)
	}
	transport.Serve(&member{}) // does nothing, leaks nothing
}

func TestCloseDuringDialAndExchange(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		a, b, d := w.member(c, "a", 1), w.member(c, "b", 2), w.member(c, "d", 4)
		a.ask(b.peer(), "hello")
		b.answer(func(ctx context.Context, _ swim.ID, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		w.lose(func(_, to netip.AddrPort, _ []byte) bool { return to == d.LocalAddr() })
		failures := make(chan error, 2)
		for _, to := range []*member{b, d} {
			go func() {
				_, _, err := a.Exchange(t.Context(), to.peer(), nil)
				failures <- err
			}()
		}
		a.Send(d.peer(), []byte("waits for the dial"))
		pass(time.Second)
		begin := time.Now()
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("Close took %v", took)
		}
		for range 2 {
			if err := <-failures; !errors.Is(err, ErrClosed) {
				t.Errorf("exchange: %v, want ErrClosed", err)
			}
		}
		pass(100 * time.Millisecond)
		b.notified("a", swim.DownClosed)
	})
}

// TestNoHandlerCallAfterClose: the datagrams that still arrive go nowhere.
func TestNoHandlerCallAfterClose(t *testing.T) {
	c := newCluster(t, "test")
	a, b := c.member("a"), c.member("b")
	b.ask(a.peer(), "hello")
	var stop atomic.Bool
	var sender sync.WaitGroup
	sender.Go(func() {
		for !stop.Load() {
			b.Send(a.peer(), []byte("ping"))
		}
	})
	eventually(t, "pings arrive", func() bool { return len(a.received()) > 10 })
	if err := a.Close(t.Context()); err != nil {
		t.Error(err)
	}
	messages, notices := len(a.received()), len(a.notices())
	b.notified("a", swim.DownClosed)
	stop.Store(true)
	sender.Wait()
	if len(a.received()) != messages || len(a.notices()) != notices {
		t.Error("the handler was called after Close")
	}
}

// TestCloseIsBounded: a handler that hangs is named, and everything else is released, within two seconds (requirements 1.14).
func TestCloseIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		b := w.member(c, "b", 2)
		stuck := make(chan struct{})
		config := c.config("a")
		config.Limits = config.Limits.withDefaults()
		e := w.plug(netip.MustParseAddrPort("10.0.0.1:7946"))
		a, err := listenOn(config, e, e.refused, e.screen.stats)
		if err != nil {
			t.Fatal(err)
		}
		h := &member{t: t, id: "a"}
		h.answer(func(context.Context, swim.ID, []byte) ([]byte, error) { <-stuck; return nil, nil })
		a.Serve(h)
		go func() { _, _, _ = b.Exchange(t.Context(), swim.Peer{ID: "a", Addr: e.addr}, nil) }()
		pass(time.Second)
		begin := time.Now()
		if err := a.Close(t.Context()); err == nil {
			t.Error("Close claims that no handler is running")
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("Close took %v", took)
		}
		close(stuck)
		pass(time.Second)
	})
}

func TestOversizeIsDroppedAndCounted(t *testing.T) {
	c := newCluster(t, "test")
	a, b := c.member("a"), c.member("b")
	a.Send(b.peer(), make([]byte, swim.DatagramMax+1))
	a.Send(b.peer(), nil)
	a.Send(swim.Peer{Addr: b.LocalAddr()}, []byte("to whom?"))
	a.Send(swim.Peer{ID: "b"}, []byte("where?"))
	a.Send(a.peer(), []byte("to myself"))
	largest := string(make([]byte, swim.DatagramMax))
	a.Send(b.peer(), []byte(largest))
	b.hears("a", largest)
	eventually(t, "it is counted", func() bool { return a.Stats().Sent == 1 })
	if s := a.Stats(); s.DroppedOversize != 2 || s.DroppedNoPeer != 3 || len(b.received()) != 1 {
		t.Errorf("%+v", s)
	}
	// One that another implementation sends too long, and one that is empty.
	a.Transport.mu.Lock()
	conn := a.peers["b"].link.conn
	a.Transport.mu.Unlock()
	for _, n := range []int{swim.DatagramMax + 1, 0} {
		if err := conn.SendDatagram(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both are counted", func() bool { return b.Stats().DroppedMalformed == 2 })
	if len(b.received()) != 1 {
		t.Error("a malformed datagram was delivered")
	}
}

func TestGarbageIsIgnored(t *testing.T) {
	c := newCluster(t, "test")
	a, b := c.member("a"), c.member("b")
	socket, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(b.LocalAddr()))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for i := range 256 {
		garbage := make([]byte, i*5)
		for j := range garbage {
			garbage[j] = byte(i + j*j)
		}
		if i > 0 {
			garbage[0] = byte(i)
		}
		if _, err := socket.Write(garbage); err != nil {
			t.Fatal(err)
		}
	}
	a.ask(b.peer(), "hello")
	if len(b.received()) != 0 || len(b.notices()) != 0 || b.Stats().Connections != 1 {
		t.Errorf("garbage had an effect: %v %v %+v", b.received(), b.notices(), b.Stats())
	}
}
