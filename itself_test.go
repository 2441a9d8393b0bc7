package rollcall_test

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/events/memlog"
	"rollcall/infra/loopback"
	"rollcall/swim"
)

// forward makes an address that passes on all it gets, and all that comes back, as a load balancer or a published port does.
func forward(t *testing.T, to netip.AddrPort) netip.AddrPort {
	t.Helper()
	front, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(anyPort))
	if err != nil {
		t.Fatal(err)
	}
	var ways sync.WaitGroup
	ways.Go(func() {
		behind := make(map[netip.AddrPort]*net.UDPConn) // by who sent
		packet := make([]byte, 1<<16)
		for {
			n, from, err := front.ReadFromUDPAddrPort(packet)
			if err != nil {
				break
			}
			if behind[from] == nil {
				way, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
				if err != nil {
					t.Error(err)
					break
				}
				behind[from] = way
				ways.Go(func() { sendBack(way, front, from) })
			}
			_, _ = behind[from].Write(packet[:n]) // or it is lost
		}
		for _, way := range behind {
			way.Close()
		}
	})
	t.Cleanup(func() {
		front.Close()
		ways.Wait()
	})
	return front.LocalAddr().(*net.UDPAddr).AddrPort()
}

func sendBack(way, front *net.UDPConn, to netip.AddrPort) {
	packet := make([]byte, 1<<16)
	for {
		n, err := way.Read(packet)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		_, _ = front.WriteToUDPAddrPort(packet[:n], to) // or it is lost
	}
}

// A first member whose only seed is an address in front of all members finds itself there, and begins.
func TestFirstBehindAFront(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	opt := h.options("n1")
	opt.Bind = netip.MustParseAddrPort(loopback.Addr(t))
	front := forward(t, opt.Bind)
	opt.Seeds = texts(front)
	n1 := h.join(opt)
	h.drained(n1) // which waits for the joining
	n2 := h.join(h.options("n2", front))
	h.drained(n2)
	sees(t, n2, "n1", swim.Alive)
	h.wantStory("n1 joined 1", "n2 joined 1")
}

// A seed that leads back to the member itself is nobody to wait for and no second process: not when it starts, and not when it asks
// again. Behind such an address there may be another the next time.
func TestSeedThatLeadsBack(t *testing.T) {
	t.Parallel()
	inBubble(t, func(h *house) {
		front := h.ether.address()
		one := h.options("n1", front)
		h.ether.lead(front, one.Bind)
		n1 := h.join(one)
		select {
		case <-n1.Joined():
		case <-time.After(2 * time.Second): // of the bubble's time, here and below
			h.t.Fatal("it waits for itself")
		}
		time.Sleep(time.Minute)
		n2 := h.join(h.options("n2", front))
		<-n2.Joined()
		sees(h.t, n2, "n1", swim.Alive)
		three := h.options("n3", front)
		three.Log = memlog.New(cluster) // where it does not meet the others
		h.ether.lead(front, three.Bind)
		n3 := h.join(three)
		<-n3.Joined()
		h.ether.lead(front, n1.Addr())
		sees(h.t, n3, "n1", swim.Alive)
		h.drained(n1)
		h.drained(n2)
		h.wantStory("n1 joined 1", "n2 joined 1")
	})
}

// One answer of its own, from an address in front of all members, does not make a member alone: it asks again before it counts as
// joined, and meets the others where another is behind the address.
func TestSeedThatLeadsBackOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(h *house) {
		n1 := h.join(h.options("n1"))
		<-n1.Joined()
		front := h.ether.address()
		two := h.options("n2", front)
		two.Log = memlog.New(cluster) // which knows nobody
		h.ether.lead(front, two.Bind)
		n2, began := h.join(two), time.Now()
		synctest.Wait()
		select {
		case <-n2.Joined():
			h.t.Fatal("it counts as joined, and has met nobody")
		default:
		}
		h.ether.lead(front, n1.Addr())
		<-n2.Joined()
		sees(h.t, n2, "n1", swim.Alive)
		if waited := time.Since(began); waited > 2*time.Second {
			h.t.Errorf("that took %v", waited)
		}
	})
}

// Who finds none but itself among its seeds joins through the log, as one without seeds does.
func TestSeedThatLeadsBackAndTheLog(t *testing.T) {
	t.Parallel()
	inBubble(t, func(h *house) {
		n1 := h.join(h.options("n1"))
		h.drained(n1)
		front := h.ether.address()
		two := h.options("n2", front)
		h.ether.lead(front, two.Bind)
		n2 := h.join(two)
		<-n2.Joined()
		sees(h.t, n2, "n1", swim.Alive)
	})
}
