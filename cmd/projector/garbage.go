package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// What a projector holds lives long, and what it reads dies at once: by the usual rule, which collects whenever as much garbage
// has come as there is alive, a small state that is read from a long log is looked through over and over. So garbage may come
// to garbageMin in any case, or to as much as there is alive, which is the usual rule for all larger states.
const (
	garbageMin = 192 << 20 // bytes

	// percentUsual is the usual rule, and percentMost how far it is left at a time: what is alive may grow meanwhile.
	percentUsual = 100
	percentMost  = 400

	// garbageLook is how often it is looked how much is alive.
	garbageLook = 250 * time.Millisecond
)

// spareCollections sets how much garbage may come before it is collected until ctx ends, and then as it was. An operator who
// says so in GOGC or GOMEMLIMIT knows better.
func spareCollections(ctx context.Context) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	now := percentMost
	defer debug.SetGCPercent(debug.SetGCPercent(now))
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	look := time.NewTicker(garbageLook)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
		metrics.Read(live)
		if want := garbagePercent(live[0].Value.Uint64()); want != now {
			now = want
			debug.SetGCPercent(now)
		}
	}
}

// garbagePercent is how much garbage may come, in percent of the bytes alive. It is coarse: to change it stops the world.
func garbagePercent(live uint64) int {
	const coarse = 25
	percent := min(percentMost, garbageMin*100/max(1, live))
	return int(max(percentUsual, percent/coarse*coarse))
}
