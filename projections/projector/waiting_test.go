package projector

import (
	"context"
	"errors"
	"testing"

	"rollcall/events/memlog"
)

func (a *awaited) told() bool {
	select {
	case <-a.reached:
		return true
	default:
		return false
	}
}

// An event wakes those who wait for it, and nobody else; whoever goes away disturbs nobody.
func TestOnlyWhoWaitsIsWoken(t *testing.T) {
	var w waiting
	far, near, same, gone := w.at(5), w.at(3), w.at(5), w.at(4)
	w.leave(gone)
	w.leave(far)
	w.reach(2)
	if near.told() || same.told() {
		t.Error("woken before its position")
	}
	w.reach(4)
	if !near.told() || same.told() || gone.told() {
		t.Errorf("after position 4: told of 3: %v, of 5: %v", near.told(), same.told())
	}
	w.leave(near)
	again := w.at(3) // asked for by somebody who has not looked
	w.end()
	if !same.told() || !again.told() {
		t.Error("somebody waits for what will not come")
	}
	w.leave(same)
	w.leave(again)
	if len(w.list) != 0 {
		t.Errorf("%d are left", len(w.list))
	}
}

// I15: who lost patience leaves nothing behind.
func TestI15NobodyWaitsForEver(t *testing.T) {
	p, err := Open(Config{Log: memlog.New("test"), Cluster: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for position := range uint64(100) {
		if err := p.WaitFor(ctx, position+1); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		for range p.Batches(t.Context(), position+1, 1) {
			break // at the first silence
		}
	}
	if n := len(p.waiting.list); n != 0 {
		t.Errorf("%d positions are waited for still", n)
	}
}
