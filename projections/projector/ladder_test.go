package projector_test

import (
	"bytes"
	"strings"
	"testing"

	"rollcall/events"
	"rollcall/projections/projector"
)

// count is how many names in dir end in suffix.
func count(t *testing.T, dir, suffix string) (n int) {
	t.Helper()
	for _, name := range snapshots(t, dir) {
		if strings.HasSuffix(name, suffix) {
			n++
		}
	}
	return n
}

// I9: from a checkpoint the past is what a replay gives, history included, also after a restart, and a broken one is put aside.
func TestI9AsOfFromACheckpoint(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2", "n3")
	dir := t.TempDir()
	p := start(t, projector.Config{Log: log, Dir: dir, CheckpointEvery: 5})
	last := log.evidence(2)
	p.reach(last)
	until(t, "written down", func() bool { return count(t, dir, ".checkpoint") == 1 })
	log.evidence(3)
	last = log.say(events.Suspected, "n3", "n1", 1)
	p.reach(last)
	want := p.Freeze()
	compare := func(p *running) {
		t.Helper()
		past, err := p.AsOf(t.Context(), projector.At{Position: last})
		if err != nil {
			t.Fatal(err)
		}
		var a, b bytes.Buffer
		if past.EncodeBareTo(&a) != nil || want.EncodeBareTo(&b) != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Error("the past differs from a replay")
		}
		for _, id := range []string{"n1", "n2", "n3"} {
			h, _ := past.Timeline.History(id)
			if err := p.Complete(t.Context(), id, &h); err != nil {
				t.Fatal(err)
			}
			whole, _ := want.Timeline.History(id)
			if len(h.Entries) != len(whole.Entries) || h.Bare > 0 {
				t.Fatalf("%s: %d entries, %d of them bare, want %d", id, len(h.Entries), h.Bare, len(whole.Entries))
			}
			for i := range h.Entries {
				if h.Entries[i].ID != whole.Entries[i].ID || h.Entries[i].Outcome != whole.Entries[i].Outcome {
					t.Errorf("%s, entry %d: %+v, want %+v", id, i, h.Entries[i], whole.Entries[i])
				}
			}
		}
	}
	compare(p)
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	p = start(t, projector.Config{Log: log, Dir: dir, CheckpointEvery: 5})
	p.reach(last)
	compare(p)
	if err := p.stop(); err != nil { // it has the past at hand that it was asked for
		t.Fatal(err)
	}
	damage(t, dir, ".checkpoint")
	p = start(t, projector.Config{Log: log, Dir: dir, CheckpointEvery: 5})
	p.reach(last)
	compare(p)
	if n := count(t, dir, ".checkpoint.bad"); n != 1 {
		t.Errorf("%d put aside: %v", n, snapshots(t, dir))
	}
}
