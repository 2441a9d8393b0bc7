package projector_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/projections"
	"rollcall/projections/projector"
)

// killed reports whether n1 is parked in a projector that starts with what dir holds at this moment.
func killed(t *testing.T, log events.Log, dir string) (parked bool) {
	t.Helper()
	now := t.TempDir()
	if err := os.CopyFS(now, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	open(t, projector.Config{Log: log, Dir: now}).View(func(v *projections.Views) {
		n, ok := v.Registry.Node("n1")
		parked = !ok || n.Parked != nil
	})
	return parked
}

// What a rebuild put right, and what was skipped, is written down at once, also where no event follows, and beside what was
// written at that position before.
func TestWhatWasPutRightSurvivesAKill(t *testing.T) {
	for name, right := range map[string]func(t *testing.T, p *running, log *healing){
		"a rebuild": func(t *testing.T, p *running, log *healing) {
			close(log.healed)
			if err := p.Rebuild(); err != nil {
				t.Fatal(err)
			}
			until(t, "rebuilt", func() bool { return p.Status().Rebuild.Changed })
		},
		"a skip": func(t *testing.T, p *running, _ *healing) {
			if err := p.Skip("n1"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			tape := newTape(t)
			tape.joins("n1", "n2")
			tape.Inject("rollcall.test.node.n1.n1.tagged", []byte(`not JSON`))
			log := &healing{tape: tape, healed: make(chan struct{}), event: events.Event{
				ID: events.NewID(), Kind: events.Tagged, Cluster: "test", Node: "n1", Author: "n1", Incarnation: 2, Time: tape.at,
			}}
			dir := taken(t, tape, projector.Config{})
			if before := snapshots(t, dir); len(before) != 1 || !killed(t, log, dir) {
				t.Fatalf("n1 is not parked in %v", before)
			}
			before := snapshots(t, dir)[0]
			wrong := readFile(t, dir, before)
			p := start(t, projector.Config{Log: log, Dir: dir, SnapshotInterval: time.Hour})
			p.reach(3)
			until(t, "ready", func() bool { return p.Status().Ready })
			right(t, p, log)
			until(t, "written down", func() bool { return count(t, dir, ".snapshot") == 2 })
			if killed(t, log, dir) {
				t.Errorf("n1 is parked again, by %v", snapshots(t, dir))
			}
			if !bytes.Equal(readFile(t, dir, before), wrong) {
				t.Errorf("%s was written over", filepath.Join(dir, before))
			}
		})
	}
}
