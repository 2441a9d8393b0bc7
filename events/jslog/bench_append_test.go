package jslog_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/events/outbox"
	"rollcall/events/recorder"
	"rollcall/infra/natsd"
)

// syncDefault is how often a NATS server flushes its files when nothing is configured.
const syncDefault = 2 * time.Minute

// BenchmarkAppend appends with expectation: to one server and to a stream on three in this process, each with the default
// sync interval and flushed before it is acknowledged. Latencies are of one append, from call to return.
func BenchmarkAppend(b *testing.B) {
	one := func(interval time.Duration) func(*testing.B) {
		return func(b *testing.B) {
			srv := embedded(b, interval)
			appends(b, jslog.Config{URL: srv.URL(), Provision: true})
			b.Run("in process, 1 in flight", func(b *testing.B) { appendFrom(b, connect(b, jslog.Config{InProcess: srv}), 1) })
		}
	}
	onThree := func(always bool) func(*testing.B) {
		return func(b *testing.B) {
			urls := three(b, func(o *server.Options) { o.SyncAlways = always })
			appends(b, jslog.Config{URL: urls, Provision: true, Replicas: 3})
		}
	}
	b.Run("R1", one(syncDefault))
	b.Run("R1always", one(0))
	b.Run("R3", onThree(false))
	b.Run("R3always", onThree(true))
}

func appends(b *testing.B, cfg jslog.Config) {
	log := connect(b, cfg)
	for _, publishers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("TCP, %d in flight", publishers), func(b *testing.B) { appendFrom(b, log, publishers) })
	}
}

// appendFrom has so many publishers append over one connection, each about a node of its own, one event after the other.
func appendFrom(b *testing.B, log *jslog.Log, publishers int) {
	var left atomic.Int64
	left.Store(int64(b.N))
	took := make([][]time.Duration, publishers)
	var wg sync.WaitGroup
	b.ResetTimer()
	for i := range publishers {
		wg.Go(func() {
			node, last := events.NewID(), uint64(0)
			for left.Add(-1) >= 0 {
				start := time.Now()
				position, err := log.Append(b.Context(), event(events.HealthCheckFailed, node), last)
				if err != nil {
					b.Error(err)
					return
				}
				took[i], last = append(took[i], time.Since(start)), position
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	report(b, b.N, slices.Concat(took...))
}

// report replaces the time of one operation by what people ask for: the rate and, where there are any, the latencies.
func report(b *testing.B, n int, took []time.Duration) {
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(0, "ns/op")
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	for _, percent := range []int{50, 99} {
		b.ReportMetric(float64(took[(len(took)-1)*percent/100])/1e6, fmt.Sprintf("p%d-ms", percent))
	}
}

// embedded runs the server that the projector embeds, flushing at interval; 0 means before every acknowledgement.
func embedded(b *testing.B, interval time.Duration) *natsd.Server {
	b.Helper()
	srv, err := natsd.Start(b.Context(), natsd.Config{Dir: b.TempDir(), Listen: "127.0.0.1:0", SyncInterval: interval})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(srv.Shutdown)
	return srv
}

// BenchmarkOutbox puts b.N events about a thousand nodes into an outbox, as a member does whose log is away, and measures
// how fast the recorder then brings them to the log and reads them back from it.
func BenchmarkOutbox(b *testing.B) {
	b.Run("R1", func(b *testing.B) { drain(b, embedded(b, syncDefault)) })
	b.Run("R1always", func(b *testing.B) { drain(b, embedded(b, 0)) })
}

func drain(b *testing.B, srv *natsd.Server) {
	log := connect(b, jslog.Config{URL: srv.URL(), Provision: true})
	box, err := outbox.Open(outbox.Config{Path: filepath.Join(b.TempDir(), "outbox.db"), Limit: max(b.N, outbox.LimitDefault)})
	if err != nil {
		b.Fatal(err)
	}
	defer box.Close()
	rec, err := recorder.New(recorder.Config{Cluster: cluster, Self: "observer", Log: log, Outbox: box})
	if err != nil {
		b.Fatal(err)
	}
	for batch := range slices.Chunk(make([]events.Event, b.N), 1000) {
		for i := range batch {
			batch[i] = event(events.HealthCheckFailed, fmt.Sprintf("n%d", i))
		}
		if err := rec.Say(batch...); err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	b.ResetTimer()
	go func() { done <- rec.Run(ctx) }()
	if err := rec.Drained(ctx); err != nil {
		b.Error(err)
	}
	b.StopTimer()
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
	if n := rec.Stats().Appended; n != uint64(b.N) {
		b.Errorf("%d events in the log, %d were put into the outbox", n, b.N)
	}
	report(b, b.N, nil)
}
