package projections

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The few delays of a node are what the classes say in full, after each one, after a restart, and for who holds them from before.
func TestFewDelaysAreDelays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			few  *fewDelays
			all  Delays
			held []*fewDelays
			were []Delays
		)
		for range rapid.IntRange(0, 40).Draw(t, "delays") {
			took := time.Duration(rapid.Int64Range(0, 1<<rapid.IntRange(0, 26).Draw(t, "bits")).Draw(t, "ms")) * time.Millisecond
			held, were = append(held, few), append(were, all)
			few = few.and(took)
			AddDelay(&all, took)
		}
		held, were = append(held, few), append(were, all)
		for i := range held {
			if held[i].all() != were[i] {
				t.Fatalf("after %d: %+v, want %+v", i, held[i], were[i])
			}
			w := &writer{}
			(&ledger{detected: held[i]}).encode(w)
			rd := &reader{buf: w.buf}
			if again := decodeLedger(rd); rd.err != nil || !reflect.DeepEqual(again.detected, held[i]) {
				t.Fatalf("written down after %d: %+v, want %+v, error %v", i, again.detected, held[i], rd.err)
			}
		}
	})
}
