package main

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"
)

// TestOneCrashOfEachKind: both systems form, detect, and are whole again, by the very code that is measured.
func TestOneCrashOfEachKind(t *testing.T) {
	for _, system := range systems {
		t.Run(system, func(t *testing.T) {
			t.Parallel()
			o := options{inside: system, n: 4, trials: 1, seed: 1}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			w := &watch{}
			c, err := newCluster(o, w)
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			if err := form(ctx, o, c); err != nil {
				t.Fatal(err)
			}
			random := rand.New(rand.NewPCG(1, 0))
			for _, k := range crashKinds {
				rows, err := crash(ctx, o, c, w, random, k.kind, k.do)
				if err != nil {
					t.Fatal(err)
				}
				if rows.Everywhere.Of != 1 || rows.Undetected != 0 || rows.Everywhere.Max < rows.Suspected.P50 {
					t.Errorf("%s: %+v", k.kind, rows)
				}
			}
		})
	}
}

func TestFlags(t *testing.T) {
	o, err := parseFlags([]string{"-n", "1000", "-only", "rollcall"})
	if err != nil || o.trials != trialsMany || o.hold != holdMany {
		t.Errorf("a thousand: %+v, %v", o, err)
	}
	if o, err = parseFlags(nil); err != nil || o.n != 64 || o.trials != trialsUsual || o.hold != holdUsual {
		t.Errorf("without flags: %+v, %v", o, err)
	}
	for _, args := range [][]string{
		{"-n", "2"}, {"-only", "gossip"}, {"-trials", "-1"}, {"-hold", "1ms"}, {"-cpuprofile", "x"}, {"-doc", "x", "-json"},
		{"more"},
	} {
		if o, err := parseFlags(args); err == nil {
			t.Errorf("%q is accepted: %+v", args, o)
		}
	}
}
