package agent

import (
	"cmp"
	"context"
	"errors"
	"time"

	"rollcall/swim"
)

// A graceful shutdown has six phases, each bounded and each a log line: the departure is acknowledged (swim.LeaveWait at
// most), gossip has stopped, the health checker has stopped, the connections are closed (connectionsLimit), the registry
// is cleared, the event channels are closed. Leave is the first phase, Close the others.
const (
	leaveLimit       = swim.LeaveWait + time.Second // of a departure, where the loop stands still too
	leaveBrief       = 500 * time.Millisecond       // of waiting on for the acknowledgement when the caller's context has ended
	connectionsLimit = 2 * time.Second              // of telling every peer and closing its connection
	recordLimit      = 10 * time.Second             // of recording what was still to be recorded
)

// phase writes the log line of a phase that is over.
func (a *Agent) phase(number int, text string, args ...any) {
	a.log.Info(text, append([]any{"shutdown", number, "of", 6}, args...)...)
}

// Leave departs gracefully, whatever ctx says: the end of ctx only shortens how long it waits for others to acknowledge that.
// It returns when enough of them have, after swim.LeaveWait at most; when ctx ends, it waits [leaveBrief] more and returns
// ctx's error. If the member does nothing at all it returns ErrStandsStill a second later. The agent goes on answering until
// Close.
func (a *Agent) Leave(ctx context.Context) error {
	began := time.Now()
	limit, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), leaveLimit, ErrStandsStill)
	defer cancel()
	if err := a.do(limit, swim.Leave()); err != nil {
		return cmp.Or(context.Cause(limit), err)
	}
	limit, hurry := context.WithCancelCause(limit)
	defer hurry(nil)
	defer context.AfterFunc(ctx, func() { time.AfterFunc(leaveBrief, func() { hurry(context.Cause(ctx)) }) })()
	select {
	case <-a.gone:
		a.phase(1, "departure known to others, or nobody there", "after", time.Since(began))
		return nil
	case <-limit.Done():
		return context.Cause(limit)
	case <-a.ctx.Done():
		return ErrClosed
	}
}

// Close stops the member at once, without a departure of its own: the loop ends and with it gossip and health checks, the
// transport tells its peers, what was still to be recorded is recorded, the registry is cleared, and every subscription's
// channel is closed. It is idempotent and bounded.
func (a *Agent) Close() error {
	a.closing.Do(func() {
		a.cancel(ErrClosed)
		<-a.loop
		a.phase(2, "gossip stopped")
		a.phase(3, "health checker stopped")
		connections, cancel := context.WithTimeout(context.Background(), connectionsLimit)
		defer cancel()
		a.closeErr = a.cfg.Transport.Close(connections)
		a.workers.Wait()
		a.phase(4, "connections closed")
		close(a.records)
		recording, cancel := context.WithTimeout(context.Background(), recordLimit)
		defer cancel()
		select {
		case <-a.recorded:
		case <-recording.Done():
			a.closeErr = errors.Join(a.closeErr, errors.New("agent: the recorder did not take the last transitions in time"))
		}
		a.registry.clear()
		a.phase(5, "registry cleared")
		a.subs.close()
		a.phase(6, "event channels closed")
	})
	return a.closeErr
}
