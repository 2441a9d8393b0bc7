package integration

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"
)

var (
	kills    = flag.Int("kills", 4, "kill -9 of a projector in TestI9KilledProjectors")
	killSeed = flag.Uint64("kill-seed", 1, "of the moments at which it is killed")
)

// I9: a projector that is killed with kill -9 at any moment, while events flow, comes back to the bytes of one that was never
// killed: at equal positions their hashes are equal. Half of the kills are of one that keeps its snapshots in a directory, half of
// one that keeps them in NATS. Every other one of the former comes as soon as a snapshot's file is seen half written; how many
// files the kills left so is counted, and of killsTimed of those kills one must have.
//
// Whether a kill meets a given step of a snapshot is chance here. Each step by itself, and whether the old or the new snapshot
// is used then, is shown by TestI9EveryKillPointOfASnapshot for a directory, and by the tests of package snapbucket for NATS.
func TestI9KilledProjectors(t *testing.T) {
	t.Parallel()
	f := newFeed(t, 200, *killSeed)
	f.tell(5_000)
	whole, steady := f.projector("never killed", t.TempDir())
	rnd := rand.New(rand.NewPCG(*killSeed, 0))
	kept := []string{t.TempDir(), ""}
	timed, torn := 0, 0 // kills that came at the sight of a half-written file; kills that left one, those or others
	began := time.Now()
	for i := range *kills {
		data := kept[i%2]
		p, _ := f.projector(fmt.Sprintf("killed %d", i), data)
		// From its first moment to long after it has caught up, events coming all the while.
		deadline := time.Now().Add(time.Duration(rnd.IntN(600)) * time.Millisecond)
		for time.Now().Before(deadline) {
			f.tell(20)
		}
		if i%4 == 2 && f.tellUntil(func() bool { return partial(t, data) > 0 }) {
			timed++
		}
		p.kill()
		torn += partial(t, data)
		again, api := f.projector(fmt.Sprintf("after kill %d", i), data)
		f.tell(100)
		equalSums(t, f, steady, api)
		if i >= 2 { // whoever came before wrote at least one
			fromSnapshot(t, api)
		}
		f.tell(300)
		eventually(t, "a snapshot is written", func() error { return written(api) })
		again.kill()
	}
	took := time.Since(began)
	if status := whole.terminate(); status != 0 {
		t.Errorf("the one never killed ended with status %d", status)
	}
	if timed >= killsTimed && torn == 0 {
		t.Errorf("%d kills came while a snapshot was written, and none left it half written", timed)
	}
	t.Logf("%d kills over %d events, seed %d, %.2f s each; %d of them at the sight of a snapshot's file half written, %d left one; "+
		"hashes equal after each", *kills, f.last, *killSeed, took.Seconds()/float64(max(1, *kills)), timed, torn)
}

// killsTimed is of how many kills at the sight of a half-written file one must have come before it was whole.
const killsTimed = 10

// sightMax is for how long such a file is looked for: some snapshots are over before anybody sees them.
const sightMax = 2 * time.Second

// tellUntil appends events, and looks again and again meanwhile, until seen reports true. It gives up after sightMax.
func (f *feed) tellUntil(seen func() bool) bool {
	f.t.Helper()
	deadline := time.Now().Add(sightMax)
	for time.Now().Before(deadline) {
		f.tell(50)
		for look := time.Now().Add(20 * time.Millisecond); time.Now().Before(look); {
			if seen() {
				return true
			}
		}
	}
	return false
}

// partial is how many files a projector is writing, or a kill left half written.
func partial(t *testing.T, data string) int {
	t.Helper()
	if data == "" {
		return 0
	}
	found, err := filepath.Glob(filepath.Join(data, "snapshots", "*.partial"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

// progress is what a projector says of its start and its snapshots.
type progress struct {
	Position uint64
	Folded   uint64
	Snapshot *struct{ Position uint64 }
}

// fromSnapshot fails the test unless the projector began with a snapshot.
func fromSnapshot(t *testing.T, api string) {
	t.Helper()
	var p progress
	if err := get(api+"/v1/projections", &p); err != nil {
		t.Fatal(err)
	}
	if p.Folded >= p.Position {
		t.Errorf("%d events folded up to position %d: it began with none", p.Folded, p.Position)
	}
}

// written fails until the projector has written a snapshot of its own.
func written(api string) error {
	var p progress
	if err := get(api+"/v1/projections", &p); err != nil {
		return err
	}
	if p.Snapshot == nil || p.Snapshot.Position+p.Folded <= p.Position {
		return errors.New("none since its start")
	}
	return nil
}

// equalSums waits until both show a hash at the log's end, and compares them.
func equalSums(t *testing.T, f *feed, a, b string) {
	t.Helper()
	var sums [2]string
	for i, api := range []string{a, b} {
		reached(t, api, f.last)
		eventually(t, "a hash at the end of the log", func() error {
			position, sum, err := sumAt(api)
			if err == nil && position != f.last {
				err = fmt.Errorf("it is at %d, the end at %d", position, f.last)
			}
			sums[i] = sum
			return err
		})
	}
	if sums[0] != sums[1] || sums[0] == "" {
		t.Fatalf("at position %d one shows %s, the other %s (I9)", f.last, sums[0], sums[1])
	}
}
