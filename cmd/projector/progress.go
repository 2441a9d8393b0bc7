package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progressEvery is how often progress is said where no terminal shows it: a log keeps every line.
const progressEvery = 10 * time.Second

// progress shows how far something is: on a terminal one line that is written over, elsewhere a line now and then.
type progress struct {
	out      io.Writer
	terminal bool
	said     time.Time // the last line, elsewhere
	open     bool      // on a terminal: the line has no end yet
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

func (p *progress) show(state fmt.Stringer) {
	switch now := time.Now(); {
	case p.terminal:
		fmt.Fprintf(p.out, "\r%v\x1b[K", state) // to the line's begin; what a longer one left is erased
		p.open = true
	case now.Sub(p.said) >= progressEvery:
		fmt.Fprintln(p.out, state)
		p.said = now
	}
}

// end goes to a line of its own for what follows.
func (p *progress) end() {
	if p.open {
		fmt.Fprintln(p.out)
		p.open = false
	}
}
