package jslog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"rollcall/events"
)

// Log implements [events.Log] on a JetStream stream. All methods are safe for concurrent use.
//
// One goroutine tends it: it dials, after every connect it compares the stream before anybody uses it, and from then on
// every few seconds. Callbacks of the connection only change the status, which is what everything else looks at.
type Log struct {
	cfg    Config
	stream string

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	done chan struct{} // closed when tend has ended
	kick chan struct{} // holds one: there is something to tend to

	found bool // the stream was there and good once; tend's alone
	good  bool // and when it was last looked at; tend's alone

	copies copies       // tend's alone
	behind atomic.Int64 // of them, for too long

	mu      sync.Mutex
	link    *link // nil before the first and after an unexpected end
	status  Status
	drifted error         // the stream found at the last look is not one to use
	changed chan struct{} // closed and replaced with every new status
}

// Status says how the log stands.
type Status struct {
	Connected bool  // there is a connection to a server
	Ready     bool  // and the stream is there and is what it must be
	Err       error // why it is not ready; nil when it is
}

// same reports whether s and other say the same.
func (s Status) same(other Status) bool {
	text := func(err error) string { return fmt.Sprint(err) }
	return s.Connected == other.Connected && s.Ready == other.Ready && text(s.Err) == text(other.Err)
}

var _ events.Log = (*Log)(nil)

// Connect opens the log. It returns when the stream has been found, or made if cfg.Provision says so, and compared, which
// takes ctx's time or ten seconds at most; with cfg.Lazy it returns at once, whatever the server does. It fails with
// ErrDrift when the stream could lose history, with events.ErrNotFound when there is no stream and none is to be made,
// with events.ErrDenied when the server's permissions do not let it look, and with events.ErrUnavailable when nothing
// answered in time.
func Connect(ctx context.Context, cfg Config) (*Log, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	l := &Log{
		cfg: cfg.withDefaults(), stream: events.StreamName(cfg.Cluster),
		done: make(chan struct{}), kick: make(chan struct{}, 1), changed: make(chan struct{}),
		status: Status{Err: errAway}, copies: make(copies),
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	if err := l.redial(); err != nil {
		l.stop()
		return nil, fmt.Errorf("log of cluster %s: %w", cfg.Cluster, err)
	}
	go l.tend()
	if cfg.Lazy {
		return l, nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeoutDefault)
	defer cancel()
	if err := l.settle(ctx); err != nil {
		l.Close()
		return nil, fmt.Errorf("log of cluster %s: %w", cfg.Cluster, err)
	}
	return l, nil
}

// Close gives up the connection and ends what is in flight and every subscription. The stream is as it was.
func (l *Log) Close() {
	l.stop()
	<-l.done
	if k := l.connection(); k != nil {
		k.down(errClosed)
		k.nc.Close()
	}
	l.set(Status{Err: errClosed}, nil)
}

// Status returns how the log stands now.
func (l *Log) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// Connected reports whether the log can be used now.
func (l *Log) Connected() bool { return l.Status().Ready }

// settle waits until the log is ready, or it is plain that waiting does not help.
func (l *Log) settle(ctx context.Context) error {
	for {
		l.mu.Lock()
		status, changed := l.status, l.changed
		l.mu.Unlock()
		hopeless := errors.Is(status.Err, ErrDrift) || errors.Is(status.Err, events.ErrNotFound) ||
			errors.Is(status.Err, events.ErrDenied) || errors.Is(status.Err, nats.ErrAuthorization)
		if status.Ready || hopeless {
			return status.Err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w (%w)", events.ErrUnavailable, status.Err, ctx.Err())
		}
	}
}

// await waits until the log is ready and returns its connection. It fails when ctx ends, when the log is closed, and when
// the stream is not one to read.
func (l *Log) await(ctx context.Context) (*link, error) {
	for {
		l.mu.Lock()
		k, status, drifted, changed := l.link, l.status, l.drifted, l.changed
		l.mu.Unlock()
		switch {
		case l.ctx.Err() != nil:
			return nil, errClosed
		case status.Ready:
			return k, nil
		case drifted != nil:
			return nil, drifted
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-l.ctx.Done():
			return nil, errClosed
		}
	}
}

// ready returns the connection of a log that can be used now.
func (l *Log) ready() (*link, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.status.Ready:
		return l.link, nil
	case errors.Is(l.status.Err, events.ErrUnavailable):
		return nil, l.status.Err
	default:
		return nil, fmt.Errorf("%w: %w", events.ErrUnavailable, l.status.Err)
	}
}

func (l *Log) connection() *link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.link
}

// set changes the status, and tells everybody who waits for that, and tend.
func (l *Log) set(status Status, drifted error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status, l.drifted = status, drifted
	close(l.changed)
	l.changed = make(chan struct{})
	l.nudge()
}

// nudge makes tend look again.
func (l *Log) nudge() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}
