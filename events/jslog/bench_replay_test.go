package jslog_test

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/jslog"
)

var replaySize = flag.Int("replay", 50_000, "events in the log that BenchmarkReplay reads; 1000000 is what is promised for")

// BenchmarkReplay reads a whole log four ways, one after the other in every round, and in the reverse order in every second one, so
// that a load of the machine that rises or falls meets all of them: bare, which is nats.go's ordered consumer and nothing of
// ours; undecoded, which is Scan; decoded, which is Subscribe; and folded, Subscribe into a Roll. "folded/%" is folded
// against undecoded, of the same rounds.
func BenchmarkReplay(b *testing.B) {
	srv := embedded(b, syncDefault)
	fillLog(b, srv.URL(), *replaySize)
	b.Run("TCP", func(b *testing.B) { replay(b, jslog.Config{URL: srv.URL()}) })
	b.Run("in process", func(b *testing.B) { replay(b, jslog.Config{InProcess: srv}) })
}

func replay(b *testing.B, cfg jslog.Config) {
	log := connect(b, cfg)
	var opts []nats.Option
	if cfg.InProcess != nil {
		opts = append(opts, nats.InProcessServer(cfg.InProcess))
	}
	_, js := plain(b, cfg.URL, opts...)
	ways := []struct {
		unit string
		read func()
	}{
		{"bare/s", func() { readBare(b, js) }},
		{"undecoded/s", func() { readUndecoded(b, log) }},
		{"decoded/s", func() { readDecoded(b, log, func(events.Recorded) {}) }},
		{"folded/s", func() { readFolded(b, log) }},
	}
	took := make(map[string]time.Duration)
	rounds := 0
	for b.Loop() {
		rounds++
		for _, way := range ways {
			took[way.unit] += timed(way.read)
		}
		slices.Reverse(ways)
	}
	for unit, took := range took {
		b.ReportMetric(float64(rounds**replaySize)/took.Seconds(), unit)
	}
	b.ReportMetric(100*took["undecoded/s"].Seconds()/took["folded/s"].Seconds(), "folded/%")
	b.ReportMetric(0, "ns/op")
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func readBare(b *testing.B, js jetstream.JetStream) {
	consumer, err := js.OrderedConsumer(b.Context(), events.StreamName(cluster), jetstream.OrderedConsumerConfig{})
	if err != nil {
		b.Fatal(err)
	}
	msgs, err := consumer.Messages(jetstream.PullMaxMessages(5000))
	if err != nil {
		b.Fatal(err)
	}
	defer msgs.Stop()
	for range *replaySize {
		if _, err := msgs.Next(); err != nil {
			b.Fatal(err)
		}
	}
}

func readUndecoded(b *testing.B, log *jslog.Log) {
	for _, err := range log.Scan(b.Context(), uint64(*replaySize)) {
		if err != nil {
			b.Fatal(err)
		}
	}
}

func readDecoded(b *testing.B, log *jslog.Log, fold func(events.Recorded)) {
	for rec, err := range log.Subscribe(b.Context(), events.Filter{}, events.From{}) {
		if err != nil {
			b.Fatal(err)
		}
		if fold(rec); rec.Position == uint64(*replaySize) {
			return
		}
	}
}

func readFolded(b *testing.B, log *jslog.Log) {
	roll := events.NewRoll(cluster)
	readDecoded(b, log, func(rec events.Recorded) { roll.Apply(rec) })
	if roll.Position() != uint64(*replaySize) || roll.Live() == 0 {
		b.Fatalf("folded up to position %d, %d live", roll.Position(), roll.Live())
	}
}

// fillLog writes a history of size events: a thousand nodes join, then each in turn is suspected, accused by two more,
// refutes, and fails a health check. A body is 480 bytes on average.
func fillLog(b *testing.B, url string, size int) {
	const nodes = 1000
	connect(b, jslog.Config{URL: url, Provision: true})
	nc, _ := plain(b, url)
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4000))
	if err != nil {
		b.Fatal(err)
	}
	stored := make([]jetstream.PubAckFuture, 0, size)
	for i := range size {
		ev := episode(i, nodes)
		body, err := events.Encode(ev)
		if err != nil {
			b.Fatal(err)
		}
		answer, err := js.PublishAsync(events.Subject(ev), body, jetstream.WithStallWait(patience))
		if err != nil {
			b.Fatal(err)
		}
		stored = append(stored, answer)
	}
	for i, answer := range stored {
		select {
		case <-answer.Ok():
		case err := <-answer.Err():
			b.Fatalf("event %d of %d was not stored: %v", i+1, size, err)
		}
	}
}

// episode is event number i, from 0.
func episode(i, nodes int) events.Event {
	name := func(n int) string { return fmt.Sprintf("node-%04d", n%nodes) }
	if i < nodes {
		ev := event(events.Joined, name(i))
		ev.Tags["zone"] = "a"
		return ev
	}
	i -= nodes
	node, round := i/5%nodes, uint64(i/5/nodes)
	heard := time.Now().Add(-2 * time.Second).UTC()
	ev := event([]events.Kind{events.Suspected, events.Accused, events.Accused, events.Refuted, events.HealthCheckFailed}[i%5], name(node))
	ev.Incarnation = 1 + round
	switch ev.Kind {
	case events.Refuted:
		ev.Incarnation++
		ev.Evidence = events.Evidence{Reason: "suspected", Previous: ev.Incarnation - 1}.Raw()
	case events.HealthCheckFailed:
		ev.Incarnation++
		ev.Author = name(node + 1)
		ev.Evidence = events.Evidence{Reason: "phi over threshold", Phi: 8.75, LastHeard: &heard}.Raw()
	default:
		ev.Author = name(node + 1 + i%5)
		ev.Evidence = events.Evidence{
			Reason: "probe timeout", Probes: 2, TimeoutMS: 500, RTTMS: 0.42, LastHeard: &heard, LocalHealth: 1,
			Relays: []events.Relay{{ID: name(node + 7), Answer: "nack"}, {ID: name(node + 9), Answer: "silent"}},
		}.Raw()
	}
	return ev
}
