package swim

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestTimersAgainstSort: entries come out by time, and at the same time in the order armed, however arming and popping mix.
func TestTimersAgainstSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var heap timers
		var sorted []timer
		t.Repeat(map[string]func(*rapid.T){
			"arm": func(t *rapid.T) {
				at := time.Duration(rapid.IntRange(0, 5).Draw(t, "at"))
				id := heap.arm(timerSync, noRef, at)
				i, _ := slices.BinarySearchFunc(sorted, at+1, func(e timer, at time.Duration) int { return int(e.at - at) })
				sorted = slices.Insert(sorted, i, timer{at, id, timerSync, noRef})
			},
			"pop": func(t *rapid.T) {
				if len(sorted) == 0 {
					return
				}
				heap.pop()
				sorted = sorted[1:]
			},
			"": func(t *rapid.T) {
				got, ok := heap.next()
				if ok != (len(sorted) > 0) || ok && got != sorted[0] {
					t.Fatalf("next is %+v, %v; want the first of %+v", got, ok, sorted)
				}
			},
		})
	})
}
