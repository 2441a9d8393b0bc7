package swimsim_test

import (
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
