package swim

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestAckTimeoutBounds: whatever the round trips, a ping is waited for AckTimeoutMin to AckTimeout, times (health + 1).
func TestAckTimeoutBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newViewNode(t)
		e := &edge{}
		for range rapid.IntRange(0, 30).Draw(t, "samples") {
			e.rtt.add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "rtt")))
		}
		for range rapid.IntRange(0, 12).Draw(t, "feelings") {
			n.feel(rapid.SampledFrom([]int{-1, 1}).Draw(t, "delta"))
		}
		if n.health < 0 || n.health > healthMax {
			t.Fatalf("health %d", n.health)
		}
		factor := time.Duration(n.health + 1)
		if got := n.ackTimeout(e); got < n.cfg.AckTimeoutMin*factor || got > n.cfg.AckTimeout*factor {
			t.Fatalf("waits %v at health %d", got, n.health)
		}
	})
}

// TestRoundTripEstimate: the mean stays among the samples, the deviation below their spread, and both follow a change.
func TestRoundTripEstimate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r roundTrip
		low, high := time.Hour, time.Duration(0)
		for range rapid.IntRange(1, 50).Draw(t, "samples") {
			d := time.Duration(rapid.Int64Range(0, int64(10*time.Second)).Draw(t, "rtt"))
			low, high = min(low, d), max(high, d)
			r.add(d)
			if mean := r.average(); mean < low-1 || mean > high+1 {
				t.Fatalf("mean %v of samples from %v to %v", mean, low, high)
			}
			if s := math.Sqrt(r.variance); math.IsNaN(s) || s > high.Seconds()+1e-9 {
				t.Fatalf("deviation %v s of samples from %v to %v", s, low, high)
			}
		}
		settled := time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(time.Second)).Draw(t, "settled"))
		for range 300 {
			r.add(settled)
		}
		if off := (r.average() - settled).Abs(); off > time.Microsecond || math.Sqrt(r.variance) > 1e-4 {
			t.Fatalf("after 300 times %v: mean %v, deviation %v s", settled, r.average(), math.Sqrt(r.variance))
		}
	})
}

// TestAckTimeoutFollowsTheEdge: mean and 6σ more within the bounds (detection rule 3), the longest wait before the first
// sample.
func TestAckTimeoutFollowsTheEdge(t *testing.T) {
	n := newViewNode(t)
	for _, c := range []struct {
		rtt  time.Duration
		want time.Duration
	}{
		{time.Millisecond, time.Millisecond + n.cfg.AckTimeoutMin},
		{40 * time.Millisecond, 160 * time.Millisecond}, // the first sample counts with half of it as deviation
		{time.Second, n.cfg.AckTimeout},
	} {
		e := &edge{}
		if got := n.ackTimeout(e); got != n.cfg.AckTimeout {
			t.Errorf("without a sample it waits %v", got)
		}
		e.rtt.add(c.rtt)
		if got := n.ackTimeout(e); (got - c.want).Abs() > time.Microsecond {
			t.Errorf("after a round trip of %v it waits %v, want %v", c.rtt, got, c.want)
		}
	}
}
