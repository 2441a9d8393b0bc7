package main

import (
	"os"
	"runtime"
)

// processorsMin is how many threads run Go at a time at least, however few processors there are.
//
// Go looks at the network when a thread of its has nothing else to do, and at least every 10 ms. On two processors the fold of
// a long log and what feeds it are all that Go runs at a time, so a request would not be looked at for those 10 ms. With threads to
// spare one waits in the kernel for the network, and the kernel runs it as soon as a packet comes, in the place of
// whoever has been running for longest: docs/adr/0026-catching-up.md has the figures.
const processorsMin = 4

// widen makes room for processorsMin threads, unless an operator who says so in GOMAXPROCS knows better. Beyond that number the
// usual rule stands, which follows what the container may use.
func widen() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < processorsMin {
		runtime.GOMAXPROCS(processorsMin)
	}
}
