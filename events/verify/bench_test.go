package verify_test

import (
	"fmt"
	"testing"

	"rollcall/events"
	"rollcall/events/verify"
)

// BenchmarkNext is reading and judging one event of a log about 1,000 nodes.
func BenchmarkNext(b *testing.B) {
	const nodes = 1000
	subjects, bodies := make([]string, b.N), make([][]byte, b.N)
	book := &book{t: nil}
	for i := range b.N {
		kind := events.Tagged
		if i < nodes {
			kind = events.Joined
		}
		id := fmt.Sprintf("n%d", i%nodes)
		ev := book.event(kind, id, id, uint64(i/nodes)+1)
		ev.ID = fmt.Sprintf("01957600-0000-7000-8000-%012x", i)
		body, err := events.Encode(ev)
		if err != nil {
			b.Fatal(err)
		}
		subjects[i], bodies[i] = events.Subject(ev), body
	}
	v := verify.New(cluster, func(f verify.Finding) { b.Fatal(f) })
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if err := v.Next(uint64(i+1), subjects[i], bodies[i]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
