package swim

import "testing"

// Exactly one half of every cut is the majority, whichever way it is seen: it holds more than half of the members, or half
// of them with the lowest id.
func TestSideOf(t *testing.T) {
	for _, c := range []struct {
		reachable, total int
		lowest           bool
		want             Side
	}{
		{3, 5, true, Majority},
		{3, 5, false, Majority},
		{2, 5, true, Minority},
		{2, 5, false, Minority},
		{2, 4, true, Majority},
		{2, 4, false, Minority},
		{1, 2, true, Majority},
		{1, 2, false, Minority},
		{1, 3, true, Minority},
		{2, 3, false, Majority},
		{500, 1000, true, Majority},
		{500, 1000, false, Minority},
		{499, 1000, true, Minority},
		{501, 1000, false, Majority},
	} {
		if got := sideOf(c.reachable, c.total, func() bool { return c.lowest }); got != c.want {
			t.Errorf("%d of %d reaching the lowest id: %v: %v, want %v", c.reachable, c.total, c.lowest, got, c.want)
		}
	}
}
