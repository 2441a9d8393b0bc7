package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// The NATS server of a run is this program again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == serverRole {
		exit(serve(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// A run in small prints every figure there is. How large they are says nothing here.
func TestSmallRunPrintsEveryFigure(t *testing.T) {
	var out bytes.Buffer
	o := options{nodes: 100, events: 2000, seed: 1, rounds: 2, rate: 200, asOf: 4, dir: t.TempDir(), snaps: "data", pace: 100, seconds: 1}
	if err := run(t.Context(), o, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, figure := range []string{
		"nodes, events, seed", "machine", "load before", "log written", "delivered undecoded", "folded into all views",
		"folded by a projector", "folded of delivered", "by a projector of delivered", "processor time of a projector", "memory once folded", "snapshot", "kill -9 to ready again",
		"memory after that", "nodes as of half-way", "a history as of half-way", "one node, catching up",
		"a tag expression, catching up", "memory then", "one node, live", "a tag expression, live", "live is",
	} {
		if n := strings.Count("\n"+out.String(), "\n"+figure+"  "); n != 1 {
			t.Errorf("%q is printed %d times", figure, n)
		}
	}
	if t.Failed() {
		t.Logf("\n%s", &out)
	}
}

func TestRunRefusesWhatItCannotMeasure(t *testing.T) {
	good := options{nodes: 8, events: 32, rounds: 1, rate: 2, asOf: 4}
	for name, spoil := range map[string]func(*options){
		"nodes": func(o *options) { o.nodes = 7 }, "events": func(o *options) { o.events = 31 },
		"rounds": func(o *options) { o.rounds = 0 }, "rate": func(o *options) { o.rate = 1 }, "as of": func(o *options) { o.asOf = 3 },
	} {
		o := good
		spoil(&o)
		var out bytes.Buffer
		if err := run(t.Context(), o, &out); err == nil || out.Len() > 0 {
			t.Errorf("%s: error %v, printed %q", name, err, &out)
		}
	}
}
