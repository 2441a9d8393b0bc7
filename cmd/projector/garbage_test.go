package main

import "testing"

// A small state may be among much garbage, a large one among as much as itself, and neither among more than is said (I15).
func TestGarbagePercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0: percentMost, garbageMin / 10: percentMost, garbageMin / 2: 200, garbageMin: percentUsual, 100 * garbageMin: percentUsual,
	} {
		if got := garbagePercent(live); got != want {
			t.Errorf("%d bytes alive: %d %%, want %d %%", live, got, want)
		}
	}
}
