package recorder

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// gate holds the appends back while the log is away or full, so that one small question at a growing interval finds out
// when it is back, and not every draft by itself. What counts as being back is an append that was answered, or was found in
// the log: a log whose leader is lost may answer questions and take nothing, and the interval goes on growing then. Where
// nothing is to be appended, an answer to a question has to do.
type gate struct {
	logger *slog.Logger
	shut   chan struct{} // the gate was closed; capacity 1

	mu       sync.Mutex
	open     chan struct{} // closed while appends may go
	closed   bool          // open is not closed
	cause    error         // why the log counts as away; nil while it does not
	since    time.Time     // when cause came
	attempts int           // to reach it since then
}

func newGate(logger *slog.Logger) *gate {
	g := &gate{logger: logger, shut: make(chan struct{}, 1), open: make(chan struct{})}
	close(g.open)
	return g
}

// pass returns when appends may go, or with the context's error.
func (g *gate) pass(ctx context.Context) error {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gate) isOpen() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.closed
}

// fail closes the gate: the log gave no answer, or takes nothing.
func (g *gate) fail(cause error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cause == nil {
		g.since = time.Now()
		g.logger.Warn("the log is away: events wait in the outbox", "reason", cause)
	}
	g.cause = cause
	if !g.closed {
		g.closed, g.open = true, make(chan struct{})
		signal(g.shut)
	}
}

// answered says that the log decided about an append.
func (g *gate) answered() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.back()
}

// silent says that nothing is to be appended any more.
func (g *gate) silent() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.back()
	}
}

// back ends the log's being away. The caller holds mu.
func (g *gate) back() {
	if g.cause == nil {
		return
	}
	g.logger.Info("the log is back", "away", time.Since(g.since).Round(time.Millisecond))
	g.cause, g.attempts = nil, 0
	g.release()
}

// release opens the gate. The caller holds mu.
func (g *gate) release() {
	if g.closed {
		g.closed = false
		close(g.open)
	}
}

// away returns why the log counts as away; nil while it does not.
func (g *gate) away() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cause
}

// run opens the gate again whenever reach finds the log, until ctx ends. silent reports whether nothing is to be appended.
func (g *gate) run(ctx context.Context, reach func(context.Context) error, silent func() bool) {
	for {
		attempt, closed := g.next()
		if !closed {
			select {
			case <-g.shut:
				continue
			case <-ctx.Done():
				return
			}
		}
		if sleep(ctx, backoff(attempt)) != nil {
			return
		}
		if reach(ctx) == nil {
			g.mu.Lock()
			g.release()
			g.mu.Unlock()
			if silent() {
				g.silent()
			}
		}
	}
}

// next returns how often reach was tried since an append was last answered, and whether it is to be tried now.
func (g *gate) next() (attempt int, closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		return 0, false
	}
	g.attempts++
	return g.attempts - 1, true
}

// backoff is the wait after so many failures in a row: backoffMin doubled so often, at most backoffMax, give or take a half.
func backoff(attempt int) time.Duration {
	d := backoffMax
	if attempt < 10 {
		d = min(backoffMin<<attempt, backoffMax)
	}
	return jitter(d)
}

// jitter is d, give or take a half.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
