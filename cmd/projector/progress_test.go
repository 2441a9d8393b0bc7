package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

// Where no terminal shows it, ten minutes of progress are a line every ten seconds; on one they are one line.
func TestProgress(t *testing.T) {
	for _, c := range []struct {
		name     string
		terminal bool
		lines    int
	}{{"log", false, 60}, {"terminal", true, 1}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				p := newProgress(&out)
				if p.terminal {
					t.Error("a buffer is taken for a terminal")
				}
				p.terminal = c.terminal
				for range 10 * time.Minute / rebuildPoll {
					p.show(&rebuilding{Position: 1, Target: 2})
					time.Sleep(rebuildPoll) // virtual
				}
				p.end()
				if got := bytes.Count(out.Bytes(), []byte("\n")); got != c.lines {
					t.Errorf("%d lines, want %d", got, c.lines)
				}
			})
		})
	}
}
