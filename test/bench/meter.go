package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// reading is what the system has counted up to an instant, for this process and for the namespace's loopback interface.
type reading struct {
	at        time.Time
	cpu       time.Duration // user and system, of the whole process
	bytes     uint64        // of IP packets, headers included; each packet is counted once
	datagrams uint64        // UDP, each counted once
	lost      uint64        // UDP datagrams that found a full socket
}

func read() (reading, error) {
	r := reading{at: time.Now()}
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return r, fmt.Errorf("getrusage: %w", err)
	}
	r.cpu = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	// The files under /proc/self are of this process's namespace, whoever mounted them; those under /sys are not.
	interfaces, err := os.ReadFile("/proc/self/net/dev")
	if err != nil {
		return r, err
	}
	protocols, err := os.ReadFile("/proc/self/net/snmp")
	if err != nil {
		return r, err
	}
	if r.bytes, err = loopbackBytes(string(interfaces)); err != nil {
		return r, err
	}
	if r.datagrams, err = udpCounter(string(protocols), "OutDatagrams"); err != nil {
		return r, err
	}
	r.lost, err = udpCounter(string(protocols), "RcvbufErrors")
	return r, err
}

// loopbackBytes finds what lo has received, which is what was sent on it.
func loopbackBytes(table string) (uint64, error) {
	for line := range strings.Lines(table) {
		if counters, ok := strings.CutPrefix(strings.TrimSpace(line), "lo:"); ok {
			if fields := strings.Fields(counters); len(fields) > 0 {
				return strconv.ParseUint(fields[0], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("no loopback interface among the counters")
}

// udpCounter finds one of the kernel's counters of UDP: a line of names, and a line of figures.
func udpCounter(table, counter string) (uint64, error) {
	var names []string
	for line := range strings.Lines(table) {
		values, ok := strings.CutPrefix(line, "Udp:")
		if !ok {
			continue
		}
		fields := strings.Fields(values)
		if names == nil {
			names = fields
			continue
		}
		for i, n := range names {
			if n == counter && i < len(fields) {
				return strconv.ParseUint(fields[i], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("no counter %s of UDP", counter)
}

// cost is what the steady state costs one member, on average.
type cost struct {
	Seconds     float64 `json:"seconds"`            // of the measurement
	Bytes       float64 `json:"bytes_per_second"`   // sent, and as many received: IP packets with their headers
	Datagrams   float64 `json:"packets_per_second"` // UDP, sent, and as many received
	CPU         float64 `json:"cpu_ms_per_second"`
	Heap        float64 `json:"heap_bytes"`  // live after a collection
	Stack       float64 `json:"stack_bytes"` // of goroutines
	Goroutines  float64 `json:"goroutines"`
	Connections float64 `json:"connections"` // open; 0 without connections
	Lost        uint64  `json:"lost"`        // UDP datagrams that found a full socket, of all members
	Late        float64 `json:"late"`        // longest that the process stood still, in seconds
}

// costBetween divides what two readings differ by.
func costBetween(before, after reading, members int) cost {
	seconds := after.at.Sub(before.at).Seconds()
	share := 1 / (seconds * float64(members))
	return cost{
		Seconds:   seconds,
		Bytes:     float64(after.bytes-before.bytes) * share,
		Datagrams: float64(after.datagrams-before.datagrams) * share,
		CPU:       float64((after.cpu - before.cpu).Microseconds()) / 1000 * share,
		Lost:      after.lost - before.lost,
	}
}

// weigh adds what a member holds.
func (c *cost) weigh(members cluster, n int) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	c.Heap, c.Stack = float64(m.HeapAlloc)/float64(n), float64(m.StackInuse)/float64(n)
	c.Goroutines = float64(runtime.NumGoroutine()) / float64(n)
	open := 0
	for i := range n {
		open += members.connections(i)
	}
	c.Connections = float64(open) / float64(n)
}

// peakMemory is the most that this process ever held, in bytes.
func peakMemory() (uint64, error) {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("getrusage: %w", err)
	}
	return uint64(usage.Maxrss) << 10, nil
}

// lateness watches how long this process stands still: a process that is not given a core, or whose runtime stops the
// world, is late for its own timer. All members are in it, so they are all late at once, which no real cluster is.
type lateness struct{ worst atomic.Int64 }

// latenessTick is short against the shortest wait of either protocol.
const latenessTick = 10 * time.Millisecond

// watch runs until ctx ends.
func (l *lateness) watch(ctx context.Context) {
	for {
		due := time.Now().Add(latenessTick)
		if rest(ctx, latenessTick) != nil {
			return
		}
		late := int64(time.Since(due))
		for worst := l.worst.Load(); late > worst && !l.worst.CompareAndSwap(worst, late); worst = l.worst.Load() {
		}
	}
}

// take returns the worst since the last call.
func (l *lateness) take() time.Duration { return time.Duration(l.worst.Swap(0)) }

// load is the system's load over the last minute, this process included; empty when it is not told.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}
