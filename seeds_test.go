package rollcall_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall"
	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/swim"
)

// A member that finds only itself among its seeds waits for nobody: a cluster may begin with a list that everybody is given.
func TestOwnAddressIsNoSeed(t *testing.T) {
	inBubble(t, func(h *house) {
		opt := h.options("n1")
		opt.Seeds = texts(opt.Bind)
		n1 := h.join(opt)
		h.drained(n1)
		second := h.options("n2", opt.Bind)
		second.Seeds = append(second.Seeds, second.Bind.String())
		n2 := h.join(second)
		h.drained(n2)
		for _, m := range []*rollcall.Member{n1, n2} {
			select {
			case <-m.Joined():
			default:
				h.t.Errorf("%s has not joined", m.ID())
			}
		}
		h.wantStory("n1 joined 1", "n2 joined 1")
	})
}

// Whoever waits for its seeds goes on running, whatever it has to say meanwhile (I15), and leaves when it is told to. The log
// gets to know it as it is when it joins.
func TestRunsOnWhileNoSeedAnswers(t *testing.T) {
	inBubble(t, func(h *house) {
		seed := h.options("n2")
		opt := h.options("n1", seed.Bind)
		m := h.join(opt)
		last := ""
		for i := range 5000 {
			last = strconv.Itoa(i)
			if err := m.SetTags(h.bounded(), map[string]string{"turn": last}); err != nil {
				h.t.Fatalf("turn %d: %v", i, err)
			}
		}
		h.wantStory()
		h.join(seed)
		<-m.Joined()
		h.drained(m)
		if story, want := h.story(), "n1 tagged 5001"; story[len(story)-1] != want || len(story) > 20 {
			h.t.Errorf("the log says %q, want %q at last", story, want)
		}
		if err := m.Leave(h.bounded()); err != nil {
			h.t.Error(err)
		}
	})
}

// A seed that a member lost is asked again, every ten seconds, until it is among the live members; while it is, not at all.
// Here the seed comes back with nothing: no seeds of its own, no directory, another log; and the protocol's own attempts
// at failed members are an hour away.
func TestLostSeedIsAskedAgain(t *testing.T) {
	inBubble(t, func(h *house) {
		t, e := h.t, h.ether
		first := h.options("n1")
		seedAt := first.Bind
		opt, again := h.options("n2", seedAt), h.options("n1")
		again.Bind = seedAt
		for _, o := range []*rollcall.Options{&first, &opt, &again} {
			o.Protocol.Seed, o.Protocol.RetryInterval = 1, time.Hour
			o.Log = memlog.New(cluster)
		}
		state := func(m *rollcall.Member, id swim.ID) swim.State {
			synctest.Wait()
			got, _ := m.Registry().Get(id)
			return got.State
		}
		seed := h.join(first)
		m := h.join(opt)
		<-m.Joined()
		joined := e.callsTo(seedAt)
		time.Sleep(time.Minute) // of the bubble's time, here and below
		if got := e.callsTo(seedAt) - joined; got != 0 {
			t.Errorf("asked %d times in a minute, and the seed was there", got)
		}
		if err := seed.Kill(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := state(m, "n1"); got != swim.Failed {
			t.Errorf("the seed is %v, want failed", got)
		}
		if got := e.callsTo(seedAt) - joined; got < 4 || got > 6 {
			t.Errorf("asked %d times in the minute in which the seed was gone, want every ten seconds", got)
		}
		seed = h.join(again)
		time.Sleep(11 * time.Second)
		if a, b := state(m, "n1"), state(seed, "n2"); a != swim.Alive || b != swim.Alive {
			t.Errorf("the seed is %v to the member, the member %v to the seed, want both alive", a, b)
		}
	})
}

// Whoever has met one member has joined, however long another seed is waited for: what it finds from then on is recorded.
func TestDarkSeedHoldsNothingBack(t *testing.T) {
	inBubble(t, func(h *house) {
		n2 := h.join(h.options("n2"))
		n3 := h.join(h.options("n3", n2.Addr()))
		<-n3.Joined()
		h.ether.dark = h.ether.address()
		n1 := h.join(h.options("n1", n2.Addr(), h.ether.dark))
		began := time.Now() // of the bubble
		sees(h.t, n1, "n3", swim.Alive)
		if err := n3.Kill(); err != nil {
			h.t.Fatal(err)
		}
		<-n1.Joined()
		if after := time.Since(began); after > time.Second {
			h.t.Errorf("joined after %v: it waited for the seed that does not answer", after)
		}
		sees(h.t, n1, "n3", swim.Failed)
		h.drained(n1)
		info, err := h.log.Info(h.bounded())
		if err != nil {
			h.t.Fatal(err)
		}
		accused := false
		for rec, err := range h.log.Subscribe(h.bounded(), events.Filter{Node: "n3", Author: "n1"}, events.From{Through: info.Last}) {
			if err != nil {
				h.t.Fatal(err)
			}
			accused = accused || rec.Kind == events.Suspected || rec.Kind == events.Accused
		}
		if !accused {
			h.t.Error("n1's accusation is not in the log")
		}
	})
}

// Without seeds, the members that the log holds are asked, as seeds are: a newcomer learns at once whom they know, also one
// that the log does not.
func TestJoinsThroughTheLog(t *testing.T) {
	inBubble(t, func(h *house) {
		n1 := h.join(h.options("n1"))
		h.drained(n1)
		opt := h.options("n2", n1.Addr())
		opt.Log = memlog.New(cluster)
		h.join(opt)
		sees(h.t, n1, "n2", swim.Alive)
		before := h.ether.callsTo(n1.Addr())
		n3 := h.join(h.options("n3"))
		for _, id := range []swim.ID{"n1", "n2"} {
			sees(h.t, n3, id, swim.Alive)
		}
		if calls := h.ether.callsTo(n1.Addr()) - before; calls != 2 {
			h.t.Errorf("it called n1 %d times, want 2: to look for another n3, and to join", calls)
		}
	})
}

// names is a service of names that begins to know them late.
type names struct {
	mu    sync.Mutex
	known map[string][]netip.Addr
}

func (n *names) set(name string, addrs ...netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known[name] = addrs
}

func (n *names) lookup(ctx context.Context, network, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch addrs := n.known[host]; {
	case host == "silent":
		n.mu.Unlock()
		<-ctx.Done()
		n.mu.Lock()
		return nil, ctx.Err()
	case network != "ip4":
		return nil, errors.New("asked for addresses that the socket does not reach")
	case len(addrs) == 0:
		return nil, errors.New("no such host")
	default:
		return addrs, nil
	}
}

// A seed may be a name: one that nobody knows yet keeps no member from starting, is looked up again, and stands for each of
// its addresses; one whose look-up hangs holds the others up for no longer than a round may take.
func TestSeedNames(t *testing.T) {
	inBubble(t, func(h *house) {
		dns := &names{known: make(map[string][]netip.Addr)}
		one, two := h.options("n1"), h.options("n2")
		joins := h.options("n3")
		joins.Log = memlog.New(cluster) // it meets nobody there
		joins.Lookup, joins.Seeds = dns.lookup, []string{"silent:7946", "members:7946"}
		var logged bytes.Buffer
		joins.Logger = slog.New(slog.NewTextHandler(&logged, nil)) // read when the member has ended
		m := h.join(joins)
		h.join(one)
		h.join(two)
		time.Sleep(time.Minute) // of the bubble's time
		select {
		case <-m.Joined():
			h.t.Fatal("joined through a name that nobody knows")
		default:
		}
		if unmet := m.Status().Live; unmet != 1 {
			h.t.Fatalf("it knows %d members", unmet)
		}
		dns.set("members", h.ether.address().Addr(), one.Bind.Addr(), two.Bind.Addr(), joins.Bind.Addr()) // nobody is at the first
		<-m.Joined()
		for _, id := range []swim.ID{"n1", "n2"} {
			sees(h.t, m, id, swim.Alive)
		}
		if err := m.Leave(h.bounded()); err != nil {
			h.t.Fatal(err)
		}
		for text, want := range map[string]int{"has no address": 2, "has an address now": 1} {
			if got := strings.Count(logged.String(), text); got != want {
				h.t.Errorf("%q is logged %d times, want %d:\n%s", text, got, want, &logged)
			}
		}
	})
}

// A name that stands for the member alone is no seed to wait for; when it stands for others too, they are asked.
func TestOwnNameIsNoSeed(t *testing.T) {
	inBubble(t, func(h *house) {
		dns := &names{known: make(map[string][]netip.Addr)}
		other := h.options("n2")
		opt := h.options("n1")
		opt.Lookup, opt.Seeds = dns.lookup, []string{"members:7946"}
		for _, o := range []*rollcall.Options{&opt, &other} {
			o.Log = memlog.New(cluster) // they do not meet there
		}
		dns.set("members", opt.Bind.Addr())
		m := h.join(opt)
		select {
		case <-m.Joined():
		default:
			h.t.Error("it waits for itself")
		}
		h.join(other)
		dns.set("members", opt.Bind.Addr(), other.Bind.Addr())
		time.Sleep(11 * time.Second) // of the bubble's time
		sees(h.t, m, "n2", swim.Alive)
	})
}

func TestSeedSyntax(t *testing.T) {
	for seed, good := range map[string]bool{
		"n1.example:7946": true, "10.0.0.1:7946": true, "[::1]:7946": true, "no.such.name.invalid:1": true,
		"": false, "n1": false, ":7946": false, "n1:0": false, "n1:65536": false, "n1:quic": false, "::1:7946": false,
	} {
		if err := rollcall.CheckSeed(seed); (err == nil) != good {
			t.Errorf("%q: %v", seed, err)
		}
	}
	h := newHouse(t)
	opt := h.options("n1")
	opt.Seeds = []string{"n2"}
	if m, err := rollcall.Join(t.Context(), opt); err == nil || !strings.Contains(err.Error(), `"n2"`) {
		t.Errorf("joined: %v, want an error that names the seed", err)
		if m != nil {
			m.Close()
		}
	}
}
