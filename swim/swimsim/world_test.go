package swimsim

import (
	"fmt"
	"sort"
	"testing"
	"time"

	"rollcall/swim"
)

func detect(t *testing.T, n int, strategy swim.Strategy, seed uint64, settle time.Duration) (first, all time.Duration, w *World) {
	var began time.Duration
	know := map[swim.ID]bool{}
	w = New(Config{Seed: seed, Node: swim.Config{Strategy: strategy}, Watch: func(o Observation) {
		if began == 0 {
			if o.Kind == swim.TransitionSuspected || o.Kind == swim.TransitionFailed {
				t.Errorf("seed %d at %v: %s says %s is %v", seed, o.At, o.By, o.Subject, o.Kind)
			}
			return
		}
		if o.Subject != "n1" {
			t.Errorf("seed %d at %v: %s says %s is %v", seed, o.At, o.By, o.Subject, o.Kind)
		}
		if o.Kind == swim.TransitionSuspected && first == 0 {
			first = o.At - began
		}
		if o.Kind == swim.TransitionFailed {
			know[o.By] = true
			if len(know) == n-1 {
				all = o.At - began
			}
		}
	}})
	for i := range n {
		w.Start(Name(i))
	}
	w.Form()
	if !w.Agreed() {
		t.Fatalf("seed %d: %d members do not agree", seed, n)
	}
	w.Run(settle)
	began = w.Now()
	w.Crash("n1")
	w.Run(30 * time.Second)
	return first, all, w
}

func TestProbe(t *testing.T) {
	for _, n := range []int{2, 3, 5, 16, 32, 128} {
		var firsts, alls []time.Duration
		for seed := range uint64(10) {
			f, a, _ := detect(t, n, swim.RingObservers, seed, 20*time.Second+time.Duration(seed)*137*time.Millisecond)
			firsts, alls = append(firsts, f), append(alls, a)
		}
		sort.Slice(firsts, func(i, j int) bool { return firsts[i] < firsts[j] })
		sort.Slice(alls, func(i, j int) bool { return alls[i] < alls[j] })
		fmt.Println(n, "first", firsts[0], firsts[5], firsts[9], "all", alls[0], alls[5], alls[9])
	}
}
