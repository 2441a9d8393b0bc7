package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestI8BrokenQuorumsAreCaught: the checks of a few seeds find every way of miscounting a quorum that somebody might write into
// the core. Each is built into a program of its own, in place of the core as it is.
func TestI8BrokenQuorumsAreCaught(t *testing.T) {
	const file = "../../../suspicion.go"
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"two accusers are enough": {"quorumMax     = 3 ", "quorumMax     = 2 "},
		"time is enough":          {"if count < Quorum(len(n.live)) {", "if false {"},
		"an accuser counts twice": {"n.silent(c) && !s.named([]byte(c.id))", "n.silent(c)"},
		"who is well counts":      {"if c.state != Suspect {\n\t\treturn false", "if c.state != Suspect {\n\t\treturn true"},
		"one's own word silences": {"c.suspicion.accusers[i].id != n.self.id", "i >= 0"},
	} {
		broken := strings.Replace(string(whole), change[0], change[1], 1)
		if broken == string(whole) {
			t.Errorf("%s: %s has no %q", name, file, change[0])
			continue
		}
		dir := t.TempDir()
		program, overlay, source := filepath.Join(dir, "simulate"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "suspicion.go")
		replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: source}})
		if err != nil {
			t.Fatal(err)
		}
		for to, text := range map[string][]byte{source: []byte(broken), overlay: replace} {
			if err := os.WriteFile(to, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-overlay", overlay, "-o", program, ".")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		out, err := exec.CommandContext(t.Context(), program, "check", "-first", "1", "-seeds", "200").CombinedOutput()
		if err == nil || !strings.Contains(string(out), ": I8 at ") {
			t.Errorf("%s: 200 seeds found nothing: %v\n%s", name, err, out)
		}
	}
}
