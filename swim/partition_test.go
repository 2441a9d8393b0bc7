package swim

import "testing"

// Exactly one half of every cut is the majority, whichever way it is seen: it holds more than half of the members, or half
// of them with the lowest id.
func TestSideOf(t *testing.T) {
	for _, c := range []struct {
		reachable, total int
		lowest           ID
		want             Side
	}{
		{3, 5, "n1", Majority},
		{3, 5, "", Majority},
		{2, 5, "n1", Minority},
		{2, 5, "", Minority},
		{2, 4, "n1", Majority},
		{2, 4, "", Minority},
		{1, 2, "n1", Majority},
		{1, 2, "", Minority},
		{1, 3, "n1", Minority},
		{2, 3, "", Majority},
		{500, 1000, "a", Majority},
		{500, 1000, "", Minority},
		{499, 1000, "a", Minority},
		{501, 1000, "", Majority},
	} {
		if got := sideOf(c.reachable, c.total, c.lowest); got != c.want {
			t.Errorf("%d of %d with lowest id %q: %v, want %v", c.reachable, c.total, c.lowest, got, c.want)
		}
	}
}
