package jslog_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/natsd"
)

// Appends with expectation to the embedded server, each flushed before it is acknowledged.
func BenchmarkAppend(b *testing.B) {
	b.Run("one at a time", func(b *testing.B) {
		log := connect(b, jslog.Config{URL: serve(b, b.TempDir(), "127.0.0.1:0").URL(), Provision: true})
		var last uint64
		for b.Loop() {
			last = mustAppend(b, log, event(events.HealthCheckFailed, "n1"), last)
		}
		perSecond(b, b.N)
	})
	b.Run("64 nodes", func(b *testing.B) {
		log := connect(b, jslog.Config{URL: serve(b, b.TempDir(), "127.0.0.1:0").URL(), Provision: true})
		var nodes atomic.Int64
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			node, last := fmt.Sprintf("n%d", nodes.Add(1)), uint64(0)
			for pb.Next() {
				position, err := log.Append(b.Context(), event(events.HealthCheckFailed, node), last)
				if err != nil {
					b.Error(err)
					return
				}
				last = position
			}
		})
		perSecond(b, b.N)
	})
}

// A replay of 20,000 events over TCP: decoded, as a projector reads, and as bare messages of nats.go, the ceiling.
func BenchmarkReplay(b *testing.B) {
	const size = 20_000
	srv, err := natsd.Start(b.Context(), natsd.Config{Dir: b.TempDir(), Listen: "127.0.0.1:0", SyncInterval: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(srv.Shutdown)
	log := connect(b, jslog.Config{URL: srv.URL(), Provision: true})
	nc, _ := plain(b, srv.URL())
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(size))
	if err != nil {
		b.Fatal(err)
	}
	for i := range size {
		ev := event(events.Suspected, fmt.Sprintf("n%d", i%1000))
		body, err := events.Encode(ev)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := js.PublishAsync(events.Subject(ev), body); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	b.Run("decoded", func(b *testing.B) {
		for b.Loop() {
			for rec, err := range log.Subscribe(b.Context(), events.Filter{}, events.From{}) {
				if err != nil {
					b.Fatal(err)
				}
				if rec.Position == size {
					break
				}
			}
		}
		perSecond(b, b.N*size)
	})
	b.Run("undecoded", func(b *testing.B) {
		for b.Loop() {
			consumer, err := js.OrderedConsumer(b.Context(), events.StreamName(cluster), jetstream.OrderedConsumerConfig{})
			if err != nil {
				b.Fatal(err)
			}
			msgs, err := consumer.Messages(jetstream.PullMaxMessages(5000))
			if err != nil {
				b.Fatal(err)
			}
			for range size {
				if _, err := msgs.Next(); err != nil {
					b.Fatal(err)
				}
			}
			msgs.Stop()
		}
		perSecond(b, b.N*size)
	})
}

func perSecond(b *testing.B, events int) {
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}
