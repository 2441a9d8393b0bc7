package projector

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"rollcall/events"
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

// I9: of two at one position the one that was made later is kept, and used: a rebuild or a skip put it right. What came before names
// ended in ids was made before all that do.
func TestI9OfTwoAtOnePositionTheLaterIsRight(t *testing.T) {
	named := func(id, suffix string) Stored {
		return Stored{Name: keptName(32, time.Unix(1700000000, 0), id, suffix), Bytes: 1}
	}
	for name, before := range map[string]string{
		"an id": events.NewID(), "a short one": "000000000000", "one that begins high": "ffffffffffff",
	} {
		t.Run(name, func(t *testing.T) {
			after := events.NewID()
			wrong, right := named(before, checkpointSuffix), named(after, checkpointSuffix)
			for _, list := range [][]Stored{{wrong, right}, {right, wrong}} {
				l := ladder{step: 16}
				out := l.load(newestFirst(list))
				if len(out) != 1 || out[0].Stored != wrong || len(l.rungs) != 1 || l.rungs[0].Stored != right || l.bytes != 1 {
					t.Errorf("read from a store: %v and %d bytes left, %v to be removed", l.rungs, l.bytes, out)
				}
				l = ladder{step: 16}
				for _, k := range list {
					parsed, _ := parseKept(k)
					out = l.add(parsed, false)
				}
				if len(out) != 1 || out[0].Stored != wrong || len(l.rungs) != 1 || l.rungs[0].Stored != right || l.bytes != 1 {
					t.Errorf("one after the other: %v and %d bytes left, %v to be removed", l.rungs, l.bytes, out)
				}
			}
			older, newer := named(before, snapshotSuffix), named(after, snapshotSuffix)
			for _, list := range [][]Stored{{older, newer}, {newer, older}} {
				found := newestFirst(list)
				if got := []Stored{found[0].Stored, found[1].Stored}; !slices.Equal(got, []Stored{newer, older}) {
					t.Errorf("newest first: %v", got)
				}
			}
		})
	}
}
