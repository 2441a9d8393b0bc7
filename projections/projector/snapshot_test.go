package projector_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projections/projector"
)

// snapshots returns the names in dir, sorted.
func snapshots(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// taken runs a projector over log until it holds everything, stops it, and returns its directory.
func taken(t *testing.T, log *tape, cfg projector.Config) string {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	cfg.Log = log
	info, err := log.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, cfg)
	p.reach(info.Last)
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	return cfg.Dir
}

// I9: a start from a snapshot and the tail holds the bytes of a replay from the start.
func TestI9RestartFromSnapshotEqualsReplay(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2", "n3")
	log.evidence(20)
	dir := taken(t, log, projector.Config{SnapshotEvery: 7})
	before := open(t, projector.Config{Log: log, Dir: dir})
	if before.Position() != 23 {
		t.Fatalf("opened at %d, the last snapshot should be at 23: %v", before.Position(), snapshots(t, dir))
	}
	log.say(events.Suspected, "n3", "n1", 1)
	last := log.say(events.Refuted, "n3", "n3", 2)
	p := start(t, projector.Config{Log: log, Dir: dir})
	p.reach(last)
	if p.Status().Folded != 2 {
		t.Errorf("%d events folded, the tail has 2", p.Status().Folded)
	}
	if !bytes.Equal(state(p.Projector), replayed(t, log, last)) {
		t.Error("snapshot and tail differ from a replay")
	}
}

// Every state that a crash can leave in the directory is started from, and the views come out the same (I9).
func TestI9EveryKillPointOfASnapshot(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2", "n3")
	older := taken(t, log, projector.Config{})
	last := log.evidence(5)
	newer := taken(t, log, projector.Config{})
	oldFile, newFile := snapshots(t, older)[0], snapshots(t, newer)[0]
	oldRaw, newRaw := readFile(t, older, oldFile), readFile(t, newer, newFile)
	want := replayed(t, log, last)

	kill := func(name string, from uint64, files map[string][]byte) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for name, raw := range files {
				if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := open(t, projector.Config{Log: log, Dir: dir}).Position(); got != from {
				t.Errorf("opened at %d, want %d", got, from)
			}
			p := start(t, projector.Config{Log: log, Dir: dir})
			p.reach(last)
			if !bytes.Equal(state(p.Projector), want) {
				t.Error("the views differ from a replay")
			}
			if err := p.stop(); err != nil {
				t.Error(err)
			}
			for _, name := range snapshots(t, dir) {
				if from < last && strings.HasSuffix(name, ".partial") {
					t.Errorf("%s was left", name)
				}
			}
		})
	}
	kill("before the first byte", 3, map[string][]byte{oldFile: oldRaw})
	kill("an empty file", 3, map[string][]byte{oldFile: oldRaw, newFile + ".partial": nil})
	kill("half written", 3, map[string][]byte{oldFile: oldRaw, newFile + ".partial": newRaw[:len(newRaw)/2]})
	kill("written, not renamed", 3, map[string][]byte{oldFile: oldRaw, newFile + ".partial": newRaw})
	kill("renamed, the old one still there", last, map[string][]byte{oldFile: oldRaw, newFile: newRaw})
	kill("done", last, map[string][]byte{newFile: newRaw})
	for _, n := range []int{0, 1, 8, 16, 40, len(newRaw) - 33, len(newRaw) - 1} {
		kill("torn by the disk", 3, map[string][]byte{oldFile: oldRaw, newFile: newRaw[:n]})
	}
	kill("torn, and no other", 0, map[string][]byte{newFile: newRaw[:len(newRaw)-1]})
}

func readFile(t *testing.T, dir, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestDamagedSnapshotIsPutAside(t *testing.T) {
	log := newTape(t)
	last := log.joins("n1", "n2")
	dir := taken(t, log, projector.Config{})
	file := snapshots(t, dir)[0]
	whole := readFile(t, dir, file)
	for i := range whole {
		bent := bytes.Clone(whole)
		bent[i] ^= 0x40
		if err := os.WriteFile(filepath.Join(dir, file), bent, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := open(t, projector.Config{Log: log, Dir: dir}).Position(); got != 0 {
			t.Fatalf("byte %d bent: opened at %d", i, got)
		}
		if got := snapshots(t, dir); len(got) != 1 || got[0] != file+".bad" {
			t.Fatalf("byte %d bent: directory holds %v", i, got)
		}
	}
	p := start(t, projector.Config{Log: log, Dir: dir})
	p.reach(last)
}

func TestForeignSnapshotIsPutAside(t *testing.T) {
	log := newTape(t)
	log.joins("n1")
	dir := taken(t, log, projector.Config{})
	p, err := projector.Open(projector.Config{Log: memlog.New("other"), Cluster: "other", Dir: dir})
	if err != nil || p.Position() != 0 {
		t.Fatalf("opened at %d, %v", p.Position(), err)
	}
	if got := snapshots(t, dir); len(got) != 1 || !strings.HasSuffix(got[0], ".bad") {
		t.Errorf("directory holds %v", got)
	}
}

// A snapshot of a log that was replaced must not be carried on with, and must not be thrown away either.
func TestSnapshotOfAReplacedLogStops(t *testing.T) {
	for name, spoil := range map[string]func(*tape){
		"another identity": func(l *tape) { l.Replace(); l.joins("n1", "n2", "n3", "n4") },
		"a shorter log":    func(l *tape) { l.Replace() },
	} {
		t.Run(name, func(t *testing.T) {
			log := newTape(t)
			log.joins("n1", "n2")
			dir := taken(t, log, projector.Config{})
			before := snapshots(t, dir)
			spoil(log)
			p := open(t, projector.Config{Log: log, Dir: dir})
			err := p.Run(t.Context())
			if !errors.Is(err, events.ErrReplaced) || !strings.Contains(err.Error(), dir) {
				t.Errorf("Run: %v", err)
			}
			if after := snapshots(t, dir); strings.Join(after, " ") != strings.Join(before, " ") {
				t.Errorf("directory held %v, holds %v", before, after)
			}
		})
	}
}

func TestSnapshotCoversATrimmedBeginning(t *testing.T) {
	log := newTape(t)
	last := log.joins("n1", "n2", "n3")
	dir := taken(t, log, projector.Config{})
	log.Trim(last + 1)
	p := start(t, projector.Config{Log: log, Dir: dir})
	p.reach(log.joins("n4"))
}

func TestOldSnapshotsArePruned(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2")
	dir := t.TempDir()
	for range 4 { // an end takes one for certain; between, those that come too soon are passed over
		log.evidence(10)
		taken(t, log, projector.Config{Dir: dir, SnapshotEvery: 5})
	}
	got := snapshots(t, dir)
	if len(got) != 2 || !strings.HasPrefix(got[1], "00000000000000000042-") {
		t.Errorf("directory holds %v", got)
	}
}

func TestDirectoryThatCannotBeMadeIsSaid(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := projector.Open(projector.Config{Log: memlog.New("test"), Cluster: "test", Dir: filepath.Join(file, "sub")})
	var path *fs.PathError
	if !errors.As(err, &path) {
		t.Errorf("Open: %v", err)
	}
}

// damage bends a byte in the one file whose name ends in suffix.
func damage(t *testing.T, dir, suffix string) {
	t.Helper()
	for _, name := range snapshots(t, dir) {
		if strings.HasSuffix(name, suffix) {
			raw := readFile(t, dir, name)
			raw[len(raw)/2] ^= 1
			if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("nothing in %s ends in %s", dir, suffix)
}
