package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"rollcall/events/memlog"
	"rollcall/projections/httpapi"
	"rollcall/projections/projector"
	"rollcall/test/story"
)

// benchNodes is how many nodes the answers of the benchmarks choose from.
const benchNodes = 10_000

// served returns the handler of a projector that knows benchNodes nodes.
func served(b *testing.B) http.Handler {
	b.Helper()
	log := memlog.New("test")
	tale, last := story.New(story.Config{Cluster: "test", Nodes: benchNodes, Seed: 1}), make(map[string]uint64)
	for range 3 * benchNodes {
		ev := tale.Next()
		position, err := log.Append(b.Context(), ev, last[ev.Node])
		if err != nil {
			b.Fatal(err)
		}
		last[ev.Node] = position
	}
	p, err := projector.Open(projector.Config{Log: log, Cluster: "test"})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		<-ended
	})
	waiting, done := context.WithTimeout(b.Context(), time.Minute)
	defer done()
	if err := p.WaitFor(waiting, 3*benchNodes); err != nil {
		b.Fatal(err)
	}
	handler, err := httpapi.New(httpapi.Config{Projector: p})
	if err != nil {
		b.Fatal(err)
	}
	return handler
}

// What an answer costs the server, without the network: one node, one in thirty by their tags, and all of them.
func BenchmarkNodes(b *testing.B) {
	handler := served(b)
	for name, target := range map[string]string{
		"one": "/v1/nodes/" + story.ID(7), "tagged": "/v1/nodes?tag=" + url.QueryEscape("role=worker,zone in (eu-1a)"), "all": "/v1/nodes",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			request := httptest.NewRequestWithContext(b.Context(), http.MethodGet, target, nil)
			size := 0
			for b.Loop() {
				answer := httptest.NewRecorder()
				handler.ServeHTTP(answer, request)
				if answer.Code != http.StatusOK {
					b.Fatal(answer.Body)
				}
				size = answer.Body.Len()
			}
			b.SetBytes(int64(size))
		})
	}
}
