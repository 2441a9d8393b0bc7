package projector_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/events"
	"rollcall/projections"
	"rollcall/projections/projector"
)

// restored puts the copy of log up to position in its place, and has it grow past where it was.
func restored(t *testing.T, log *tape, position uint64) (last uint64) {
	t.Helper()
	before, err := log.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	log.Restore(position)
	for last <= before.Last {
		last = log.evidence(1)
	}
	after, err := log.Info(t.Context())
	if err != nil || after.Identity != before.Identity || after.Last <= before.Last {
		t.Fatalf("%+v, %v: only what it holds should tell it from %+v", after, err, before)
	}
	return last
}

// I9: what was folded and then lost is in no view that goes on with another history. The log says nothing of having been
// restored from an older copy: it is as old as it was, and longer.
func TestI9RestoredLogStopsTheProjector(t *testing.T) {
	for name, run := range map[string]func(t *testing.T, log *tape) *running{
		"while it was stopped": func(t *testing.T, log *tape) *running {
			dir := taken(t, log, projector.Config{})
			restored(t, log, 4)
			return start(t, projector.Config{Log: log, Dir: dir})
		},
		"while it was stopped, behind what cannot be read": func(t *testing.T, log *tape) *running {
			log.Inject("rollcall.test.node.n1.n1.tagged", []byte(`not JSON`))
			dir := taken(t, log, projector.Config{})
			restored(t, log, 4)
			return start(t, projector.Config{Log: log, Dir: dir})
		},
		"while it was paused": func(t *testing.T, log *tape) *running {
			p := start(t, projector.Config{Log: log})
			p.reach(6)
			p.Pause()
			restored(t, log, 4)
			p.Resume()
			return p
		},
		"while it ran": func(t *testing.T, log *tape) *running {
			p := start(t, projector.Config{Log: log})
			p.reach(6)
			restored(t, log, 4)
			return p
		},
	} {
		t.Run(name, func(t *testing.T) {
			log := newTape(t)
			log.joins("n1", "n2", "n3", "n4", "lost", "n6")
			p := run(t, log)
			until(t, "stopped", func() bool { return p.Status().State == projector.Stopped })
			if s := p.Status(); !errors.Is(s.Stopped, events.ErrReplaced) || s.Ready || s.Position > 7 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A log that was restored to before the newest checkpoint, and not before the snapshot, is the log that was folded; but the
// checkpoint is of the history that was lost.
func TestI9AsOfAfterARestore(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2", "n3")
	dir := taken(t, log, projector.Config{CheckpointEvery: 4})
	log.joins("n4", "lost", "n6", "n7", "n8")
	p := start(t, projector.Config{Log: log, Dir: dir, CheckpointEvery: 4})
	until(t, "written down", func() bool { return count(t, dir, ".checkpoint") == 2 })
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range snapshots(t, dir) {
		if strings.HasPrefix(name, fmt.Sprintf("%020d", 8)) && strings.HasSuffix(name, ".snapshot") {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	last := restored(t, log, 4)
	p = start(t, projector.Config{Log: log, Dir: dir, CheckpointEvery: 4})
	p.reach(last)
	if count(t, dir, ".checkpoint.bad") != 1 {
		t.Errorf("want one checkpoint put aside: %v", snapshots(t, dir))
	}
	for position := uint64(1); position <= last; position++ {
		views, err := p.AsOf(t.Context(), projector.At{Position: position})
		if err != nil {
			t.Fatal(err)
		}
		raw := replayed(t, log, position)
		want, err := projections.DecodeFrom("test", bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		var a, b bytes.Buffer
		if views.EncodeBareTo(&a) != nil || want.EncodeBareTo(&b) != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("as of %d: not what a replay gives", position)
		}
	}
}
