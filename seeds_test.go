package rollcall_test

import (
	"net/netip"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"rollcall"
	"rollcall/events/memlog"
	"rollcall/swim"
)

// A member that finds only itself among its seeds waits for nobody: a cluster may begin with a list that everybody is given.
func TestOwnAddressIsNoSeed(t *testing.T) {
	inBubble(t, func(h *house) {
		opt := h.options("n1")
		opt.Seeds = []netip.AddrPort{opt.Bind}
		n1 := h.join(opt)
		h.drained(n1)
		second := h.options("n2", opt.Bind)
		second.Seeds = append(second.Seeds, second.Bind)
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
