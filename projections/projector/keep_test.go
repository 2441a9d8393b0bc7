package projector_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"rollcall/projections/projector"
)

// climbed runs a projector over a log of n steps of five events, stops it, and returns the names of their checkpoints.
func climbed(t *testing.T, log *tape, dir string, n int) (names []string) {
	t.Helper()
	p := start(t, projector.Config{Log: log, Dir: dir, CheckpointEvery: 5})
	for range n {
		last := log.evidence(5)
		p.reach(last)
		until(t, "written down", func() bool { return count(t, dir, ".checkpoint") == int(last/5) })
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range snapshots(t, dir) {
		if strings.HasSuffix(name, ".checkpoint") {
			names = append(names, name)
		}
	}
	return names
}

// passes reads the past in each step of the log until there is a checkpoint in each: of more instants than are remembered, and
// backwards, so that what was asked for before is of little help.
func (r *running) passes(last uint64, dir string) {
	r.t.Helper()
	until(r.t, "a checkpoint in each step", func() bool {
		for position := last; position > 0; position-- {
			views, err := r.AsOf(r.t.Context(), projector.At{Position: position})
			if err != nil || views.Position() != position {
				r.t.Fatalf("as of %d: %v", position, err)
			}
		}
		return stepsWith(r.t, dir) == int(last/5)
	})
}

// stepsWith is how many steps of five events have a checkpoint of this version. There may be two of a step, until one of them is
// removed.
func stepsWith(t *testing.T, dir string) int {
	t.Helper()
	steps := make(map[int]bool)
	for _, name := range snapshots(t, dir) {
		if position, _, _ := strings.Cut(name, "-"); strings.HasSuffix(name, ".checkpoint") && !strings.Contains(name, foreignForm) {
			n, err := strconv.Atoi(position)
			if err != nil {
				t.Fatal(err)
			}
			steps[n/5] = true
		}
	}
	return len(steps)
}

// foreignForm is in the names of what another version wrote.
const foreignForm = ".1-1."

// What another version wrote fills no step and is left to that version; this one takes checkpoints of its own.
func TestUpgradeTakesItsOwnCheckpoints(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2", "n3", "n4", "n5")
	dir := t.TempDir()
	climbed(t, log, dir, 7)
	var foreign []string
	for _, name := range snapshots(t, dir) {
		raw := readFile(t, dir, name)
		binary.BigEndian.PutUint32(raw[8:], 1) // the format's version
		part := strings.Split(name, ".")
		other := part[0] + foreignForm + part[len(part)-1]
		if err := os.WriteFile(filepath.Join(dir, other), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		foreign = append(foreign, other)
	}
	p := start(t, projector.Config{Log: log, Dir: dir, CheckpointEvery: 5})
	p.reach(40)
	p.passes(40, dir)
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	left := strings.Join(snapshots(t, dir), " ")
	for _, name := range foreign {
		if !strings.Contains(left, name) {
			t.Errorf("%s is gone", name)
		}
	}
}

// A checkpoint that is broken, or that another projector removed, fills no step: who passes it takes another.
func TestCheckpointsThatAreGoneAreMadeUpFor(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"removed": os.Remove,
		"broken":  func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("x"), 100), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			log := newTape(t)
			log.joins("n1", "n2", "n3", "n4", "n5")
			dir := t.TempDir()
			names := climbed(t, log, dir, 5)
			p := start(t, projector.Config{Log: log, Dir: dir, CheckpointEvery: 5})
			p.reach(30)
			for _, name := range names[1:] {
				if err := spoil(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			p.passes(30, dir)
			if err := p.stop(); err != nil { // or it may remove what is looked at
				t.Fatal(err)
			}
			for _, name := range snapshots(t, dir) {
				if strings.HasSuffix(name, ".checkpoint") && bytes.HasPrefix(readFile(t, dir, name), []byte("xxx")) {
					t.Errorf("%s is broken still", name)
				}
			}
		})
	}
}

// A rebuild puts its checkpoints in the place of those that there were, and keeps them.
func TestRebuildKeepsItsCheckpoints(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2", "n3", "n4", "n5")
	dir := t.TempDir()
	p := start(t, projector.Config{Log: log, Dir: dir, CheckpointEvery: 5})
	for range 3 {
		p.reach(log.evidence(5))
	}
	p.passes(20, dir)
	if err := p.Rebuild(); err != nil {
		t.Fatal(err)
	}
	until(t, "rebuilt", func() bool { return !p.Status().Rebuild.Running })
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, dir, ".checkpoint"); n != 4 {
		t.Errorf("%d checkpoints, want 4: %v", n, snapshots(t, dir))
	}
}

// I15: of what was put aside the newest few stay.
func TestI15FewArePutAside(t *testing.T) {
	log := newTape(t)
	log.joins("n1")
	dir := t.TempDir()
	for range 7 {
		taken(t, log, projector.Config{Dir: dir})
		damage(t, dir, ".snapshot")
		log.evidence(1)
	}
	taken(t, log, projector.Config{Dir: dir})
	if n := count(t, dir, ".bad"); n != 4 {
		t.Errorf("%d put aside, want 4: %v", n, snapshots(t, dir))
	}
}
