package integration

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var (
	kills    = flag.Int("kills", 4, "kill -9 of a projector in TestI9KilledProjectors")
	killSeed = flag.Uint64("kill-seed", 1, "of the moments at which it is killed")
)

// I9: a projector that is killed with kill -9 at any moment, while events flow, comes back to the bytes of one that was never
// killed: at equal positions their hashes are equal. Half of the kills are of one that keeps its snapshots in a directory, half of
// one that keeps them in NATS.
func TestI9KilledProjectors(t *testing.T) {
	t.Parallel()
	f := newFeed(t, 200, *killSeed)
	f.tell(5_000)
	whole, steady := f.projector("never killed", t.TempDir())
	rnd := rand.New(rand.NewPCG(*killSeed, 0))
	kept := []string{t.TempDir(), ""}
	compared := 0
	for i := range *kills {
		data := kept[i%2]
		p, _ := f.projector(fmt.Sprintf("killed %d", i), data)
		// From its first moment to long after it has caught up, events coming all the while.
		deadline := time.Now().Add(time.Duration(rnd.IntN(600)) * time.Millisecond)
		for time.Now().Before(deadline) {
			f.tell(20)
		}
		p.kill()
		if i%10 != 0 && i < *kills-2 { // a comparison each time would be most of the time
			continue
		}
		again, api := f.projector(fmt.Sprintf("after kill %d", i), data)
		f.tell(100)
		equalSums(t, f, steady, api)
		compared++
		again.kill()
	}
	if status := whole.terminate(); status != 0 {
		t.Errorf("the one never killed ended with status %d", status)
	}
	t.Logf("%d kills over %d events, seed %d; hashes compared after %d of them, all equal", *kills, f.last, *killSeed, compared)
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
