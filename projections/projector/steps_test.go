package projector

import (
	"strconv"
	"testing"
)

// I15: however long the log, there are no more checkpoints than there may be, in number and in bytes; they stand along all of
// it, one a step, and what is not kept is given back to be removed.
func TestI15CheckpointsAreBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		bytes int64
		most  int
	}{
		"by number": {1, CheckpointsMax},
		"by bytes":  {CheckpointBytesMax / 10, 10},
	} {
		t.Run(name, func(t *testing.T) {
			l := ladder{step: 16}
			written, removed := 0, 0
			for position := uint64(1); position <= 100_000; position++ {
				if !l.due(position) {
					continue
				}
				written++
				removed += len(l.add(kept{Stored: Stored{strconv.FormatUint(position, 10), tc.bytes}, position: position}, false))
				if len(l.rungs) > tc.most {
					t.Fatalf("%d at position %d, want at most %d", len(l.rungs), position, tc.most)
				}
			}
			if len(l.rungs) < tc.most/2-1 || written-removed != len(l.rungs) || l.bytes != tc.bytes*int64(len(l.rungs)) {
				t.Errorf("%d of %d left, %d removed, %d bytes", len(l.rungs), written, removed, l.bytes)
			}
			before := uint64(0)
			for _, r := range l.rungs {
				if gap := r.position - before; gap > 2*l.step {
					t.Errorf("%d positions up to %d without one, steps are of %d", gap, r.position, l.step)
				}
				before = r.position
			}
			var again ladder
			again.step = 16
			var found []kept
			for i := len(l.rungs) - 1; i >= 0; i-- {
				found = append(found, l.rungs[i])
			}
			if out := again.load(found); len(out) > 0 || len(again.rungs) != len(l.rungs) {
				t.Errorf("after a restart %d, %d to be removed", len(again.rungs), len(out))
			}
			better := l.rungs[1]
			better.Name += " again"
			if out := again.add(better, true); len(out) != 1 || len(again.rungs) != len(l.rungs) {
				t.Errorf("put in the place of another: %d removed, %d left", len(out), len(again.rungs))
			}
		})
	}
}
