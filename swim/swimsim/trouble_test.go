package swimsim_test

import (
	"errors"
	"testing"
	"time"

	"rollcall/swim"
	"rollcall/swim/swimsim"
)

// When all members stand still together, as those of one host do, nobody is failed for it (I13), no stranger is dialled, and
// two seconds later the traffic is what it was before.
func TestSharedStallDoesNotFeedItself(t *testing.T) {
	const members = 128
	for _, stall := range []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, 400 * time.Millisecond, time.Second} {
		verdicts := 0
		w := swimsim.New(swimsim.Config{Seed: 42, Watch: func(o swimsim.Observation) {
			if o.Kind == swim.TransitionFailed {
				verdicts++
			}
		}})
		for i := range members {
			w.Start(swimsim.Name(i))
		}
		w.Seed()
		w.Run(40 * time.Second)
		sent := w.Sent
		w.Run(10 * time.Second)
		before := float64(w.Sent-sent) / 10
		for _, m := range w.Members() {
			w.Freeze(m)
		}
		dials := w.Dials
		w.Run(stall)
		for _, m := range w.Members() {
			w.Thaw(m)
		}
		w.Run(2 * time.Second)
		if d := w.Dials - dials; d > members/8 {
			t.Errorf("stall of %v: %d new connections", stall, d)
		}
		sent = w.Sent
		w.Run(5 * time.Second)
		if after := float64(w.Sent-sent) / 5; after > 1.1*before {
			t.Errorf("stall of %v: %.0f datagrams/s afterwards, %.0f before", stall, after, before)
		}
		if verdicts > 0 {
			t.Errorf("stall of %v: %d verdicts", stall, verdicts)
		}
	}
}

// What a crash costs in handshakes depends on the rings, not on how many members there are: accusers ask relays and tell the other
// observers, and the neighbours of the victim become each other's. News of it reaches everybody through connections that are there.
func TestCrashMakesFewConnections(t *testing.T) {
	const (
		members = 250
		rings   = swim.RingsDefault
		few     = rings*(rings-1)/2 + rings*swim.IndirectProbesDefault + 2*rings
		window  = 5 * time.Second
	)
	verdicts := 0
	w := cluster(swimsim.Config{Seed: 43, Watch: func(o swimsim.Observation) {
		if o.Kind == swim.TransitionFailed {
			verdicts++
		}
	}}, members)
	w.Crash(w.Members()[members/2])
	dials := w.Dials
	w.Run(window) // over before the first syncs, which make connections too
	if made := w.Dials - dials; made > few {
		t.Errorf("the crash made %d connections among %d members, want at most %d", made, members, few)
	}
	if verdicts != members-1 {
		t.Errorf("%d hold it failed after %v, want %d", verdicts, window, members-1)
	}
}

// A member whose link flip-flops comes and goes less and less often, and is back, in every view and in the log, once it is
// whole (I14).
func TestFlipFlopperIsDamped(t *testing.T) {
	verdicts := map[uint64]time.Duration{} // by incarnation: when it was first held failed
	w := swimsim.New(swimsim.Config{Seed: 7, Checked: true, Watch: func(o swimsim.Observation) {
		if o.Kind == swim.TransitionFailed && o.Subject == "n5" {
			if _, ok := verdicts[o.Incarnation]; !ok {
				verdicts[o.Incarnation] = o.At
			}
		} else if o.Kind == swim.TransitionFailed {
			t.Errorf("%s holds %s failed", o.By.ID, o.Subject)
		}
	}})
	for i := range 32 {
		w.Start(swimsim.Name(i))
	}
	w.Form()
	w.Run(10 * time.Second)
	from := w.Now()
	for range 20 {
		c := w.Cut(func(_, to *swimsim.Member) bool { return to.ID == "n5" })
		w.Run(4 * time.Second)
		w.Heal(c)
		w.Run(3 * time.Second)
	}
	early, late := 0, 0
	for _, at := range verdicts {
		if at-from < 35*time.Second {
			early++
		} else if at-from > 105*time.Second {
			late++
		}
	}
	if early < 3 || late > 1 {
		t.Errorf("%d verdicts in the first quarter, %d in the last: want 3 at least, and 1 at most", early, late)
	}
	if w.Member("n5").Node.Counters().Held == 0 {
		t.Error("no return was held back")
	}
	w.Run(70 * time.Second)
	if err := errors.Join(w.Err(), w.Disagreement()); err != nil {
		t.Error(err)
	}
}

// A member that stands still again and again, and answers for a moment between, is kept away like one whose link flip-flops: it
// meets the accusation before the verdict, and is failed four times in a minute all the same, not fifteen times. Who missed the
// verdict learns of it from the member itself, so that all views are equal meanwhile.
func TestWhoStandsStillAgainAndAgainIsDamped(t *testing.T) {
	for name, stall := range map[string]func(*swimsim.World, *swimsim.Member){
		"blocked": (*swimsim.World).Block, "frozen": (*swimsim.World).Freeze,
	} {
		for _, log := range []*swimsim.LogConfig{nil, {}} {
			verdicts := map[uint64]bool{} // by incarnation
			w := swimsim.New(swimsim.Config{Seed: 11, Checked: true, Log: log, Watch: func(o swimsim.Observation) {
				switch {
				case o.Kind != swim.TransitionFailed:
				case o.Subject == "n5":
					verdicts[o.Incarnation] = true
				case o.By.ID != "n5":
					t.Errorf("%s, log %t: %s holds %s failed", name, log != nil, o.By.ID, o.Subject)
				}
			}})
			for i := range 32 {
				w.Start(swimsim.Name(i))
			}
			w.Form()
			w.Run(10 * time.Second)
			m := w.Member("n5")
			for range 15 {
				stall(w, m)
				w.Run(4 * time.Second)
				w.Thaw(m)
				w.Run(100 * time.Millisecond)
			}
			if len(verdicts) < 3 || len(verdicts) > 4 || m.Node.Counters().Held == 0 {
				t.Errorf("%s, log %t: %d verdicts in a minute, %d returns held back", name, log != nil, len(verdicts), m.Node.Counters().Held)
			}
			w.Run(5 * time.Second)
			if m.Node.ReturnsIn() == 0 || !w.Agreed() {
				t.Errorf("%s, log %t: stays away for %v more, views equal: %t", name, log != nil, m.Node.ReturnsIn(), w.Agreed())
			}
			w.Run(70 * time.Second)
			if err := errors.Join(w.Err(), w.Disagreement()); err != nil {
				t.Errorf("%s, log %t: %v", name, log != nil, err)
			}
		}
	}
}

// With a partition that the log spans nobody is failed for being on the other side, and every view says who cannot reach whom, as
// long as that is so.
func TestPartitionSpannedByTheLog(t *testing.T) {
	const members = 16
	w := swimsim.New(swimsim.Config{Seed: 9, Checked: true, Log: &swimsim.LogConfig{}, Watch: func(o swimsim.Observation) {
		if o.Kind == swim.TransitionFailed {
			t.Errorf("%v: %s holds %s failed", o.At, o.By.ID, o.Subject)
		}
	}})
	side := map[swim.ID]bool{}
	for i := range members {
		side[w.Start(swimsim.Name(i)).ID] = i < members/2
	}
	w.Form()
	w.Run(10 * time.Second)
	c := w.Cut(func(from, to *swimsim.Member) bool { return side[from.ID] != side[to.ID] })
	w.Run(30 * time.Second)
	contested := func() (count int) {
		for _, m := range w.Members() {
			for _, row := range m.Node.Members(nil) {
				for _, by := range row.UnreachableFrom {
					count++
					if side[by] == side[row.ID] {
						t.Errorf("%s says that %s cannot reach %s, which is on its own side", m.ID, by, row.ID)
					}
				}
			}
		}
		return count
	}
	if got := contested(); got < members*members {
		t.Errorf("%d accusers in the rows of %d views while the partition lasts, want one a row at least", got, members)
	}
	w.Heal(c)
	w.Run(75 * time.Second)
	if got := contested(); got > 0 {
		t.Errorf("%d accusers in the rows a minute after the partition", got)
	}
	if err := errors.Join(w.Err(), w.Disagreement()); err != nil {
		t.Error(err)
	}
}

// A muted member of a minority convicts nobody on the other side: it knows on which side it is when the first suspicion ripens.
func TestMutedMinorityConvictsNobody(t *testing.T) {
	for seed := range uint64(10) {
		const members, few = 12, 5
		minority := map[swim.ID]bool{}
		cut := false
		w := swimsim.New(swimsim.Config{Seed: seed, Checked: true, Node: swim.Config{MinorityMute: true}, Watch: func(o swimsim.Observation) {
			if cut && o.Kind == swim.TransitionFailed && minority[o.By.ID] {
				t.Errorf("seed %d, %v: %s holds %s failed", seed, o.At, o.By.ID, o.Subject)
			}
		}})
		for i := range members {
			minority[w.Start(swimsim.Name(i)).ID] = i < few
		}
		w.Form()
		w.Run(10*time.Second + time.Duration(seed)*77*time.Millisecond)
		cut = true
		c := w.Cut(func(from, to *swimsim.Member) bool { return minority[from.ID] != minority[to.ID] })
		w.Run(30 * time.Second)
		cut = false
		w.Heal(c)
		w.Run(30 * time.Second)
		if err := errors.Join(w.Err(), w.Disagreement()); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}
