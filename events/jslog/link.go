package jslog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/events"
)

// Pauses between attempts to reach a server or to make a consumer: the first, and what they grow to.
const (
	pauseMin = 50 * time.Millisecond
	pauseMax = 2 * time.Second
)

// A server that says nothing is given up after pingInterval × pingsOutstanding.
const (
	dialTimeout      = 2 * time.Second
	pingInterval     = 5 * time.Second
	pingsOutstanding = 2
)

// What ends an exchange early.
var (
	errLost   = fmt.Errorf("%w: the connection to NATS was lost", events.ErrUnavailable)
	errAway   = fmt.Errorf("%w: no connection to NATS", events.ErrUnavailable)
	errClosed = fmt.Errorf("%w: this log was closed", events.ErrUnavailable)
)

// link is one connection and what is in flight on it.
//
// nats.go answers a request whose connection broke, or whose subject the server denied, with nothing at all: the request
// times out, and the reason goes to a handler of the connection. link ties the two together. Every exchange runs under
// a context that ends with the connection, and is registered by its subject, which is all that the server names when
// it denies one.
type link struct {
	nc *nats.Conn

	mu     sync.Mutex
	epoch  context.Context // ends when the connection does; ended from the start while there is none
	lost   context.CancelCauseFunc
	flying map[string][]*exchange
}

type exchange struct{ cancel context.CancelCauseFunc }

func newLink() *link {
	k := &link{flying: make(map[string][]*exchange)}
	k.down(errAway)
	return k
}

// up begins an epoch, down ends it with the reason why.
func (k *link) up() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lost != nil {
		k.lost(errLost)
	}
	k.epoch, k.lost = context.WithCancelCause(context.Background())
}

func (k *link) down(why error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lost == nil {
		k.epoch, k.lost = context.WithCancelCause(context.Background())
	}
	k.lost(why)
}

// renew ends epoch, if it is the present one, with the reason why, and begins another on the same connection.
func (k *link) renew(epoch context.Context, why error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.epoch != epoch || epoch.Err() != nil {
		return
	}
	k.lost(why)
	k.epoch, k.lost = context.WithCancelCause(context.Background())
}

// current returns the context of the present epoch.
func (k *link) current() context.Context {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.epoch
}

// bind returns ctx, ended also by the end of the connection or by a denial of subject; its cause says which. The caller
// calls release when the exchange is over.
func (k *link) bind(ctx context.Context, subject string) (bound context.Context, release func()) {
	bound, cancel := context.WithCancelCause(ctx)
	x := &exchange{cancel}
	k.mu.Lock()
	k.flying[subject] = append(k.flying[subject], x)
	epoch := k.epoch
	k.mu.Unlock()
	stop := context.AfterFunc(epoch, func() { cancel(context.Cause(epoch)) })
	return bound, func() {
		stop()
		k.mu.Lock()
		defer k.mu.Unlock()
		left := slices.DeleteFunc(k.flying[subject], func(other *exchange) bool { return other == x })
		if len(left) == 0 {
			delete(k.flying, subject)
		} else {
			k.flying[subject] = left
		}
		cancel(nil)
	}
}

// request sends msg and waits for the answer, at most until ctx ends. Its errors are events.ErrDenied, when the server
// did not take msg, and events.ErrUnavailable, when nobody knows.
func (k *link) request(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	bound, release := k.bind(ctx, msg.Subject)
	defer release()
	if bound.Err() != nil {
		return nil, failure(bound, bound.Err())
	}
	reply, err := k.nc.RequestMsgWithContext(bound, msg)
	if err != nil {
		return nil, failure(bound, err)
	}
	return reply, nil
}

// failure says why an exchange under bound failed with err.
func failure(bound context.Context, err error) error {
	if cause := context.Cause(bound); errors.Is(cause, events.ErrDenied) || errors.Is(cause, events.ErrUnavailable) {
		return cause
	}
	return fmt.Errorf("%w: %w", events.ErrUnavailable, err)
}

// What a server says when it denies something, and of which subject.
var (
	deniedPublish   = regexp.MustCompile(`(?i)permissions violation for publish to "([^"\s]+)"`)
	deniedSubscribe = regexp.MustCompile(`(?i)permissions violation for subscription to "([^"\s]+)"`)
)

// denied ends what is in flight on the subject that err names; without the inbox, below which answers arrive, everything. Other
// subscriptions that are denied are not the log's: the connection is lent out.
func (k *link) denied(inbox string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if match := deniedPublish.FindStringSubmatch(err.Error()); match != nil {
		for _, x := range k.flying[match[1]] {
			x.cancel(fmt.Errorf("%w: NATS permissions: publish to %s", events.ErrDenied, match[1]))
		}
	}
	if match := deniedSubscribe.FindStringSubmatch(err.Error()); match != nil && strings.HasPrefix(match[1], inbox+".") {
		for _, flying := range k.flying {
			for _, x := range flying {
				x.cancel(fmt.Errorf("%w: NATS permissions: no answer can arrive at %s: set Inbox to what this user may subscribe to",
					events.ErrDenied, match[1]))
			}
		}
	}
}

// dial opens the connection that k stands for. The error is one of the configuration: a server that is away is no error,
// and is tried for ever.
func (l *Log) dial() (*link, error) {
	k := newLink()
	opts := []nats.Option{
		nats.Name(l.cfg.Name), nats.Timeout(dialTimeout), nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(pingsOutstanding),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.CustomReconnectDelay(pause), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectBufSize(-1), // what was not sent is the caller's to send again, not the connection's
		nats.ConnectHandler(func(*nats.Conn) { l.connected(k) }),
		nats.ReconnectHandler(func(*nats.Conn) { l.connected(k) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { l.disconnected(k, err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { l.unreachable(k, err) }),
		nats.ClosedHandler(func(nc *nats.Conn) { l.hungUp(k, nc.LastError()) }),
		nats.ErrorHandler(func(nc *nats.Conn, _ *nats.Subscription, err error) {
			level := slog.LevelWarn
			if strings.Contains(err.Error(), StatsSubject) { // who may not ask is told so by the line "log ready"
				level = slog.LevelDebug
			}
			l.cfg.Logger.Log(l.ctx, level, "NATS reports an error", "cluster", l.cfg.Cluster, "error", err)
			k.denied(strings.TrimSuffix(cmp.Or(nc.Opts.InboxPrefix, InboxShared), "."), err)
		}),
	}
	if l.cfg.InProcess != nil {
		opts = append(opts, nats.InProcessServer(l.cfg.InProcess))
	}
	user, err := l.cfg.user()
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(l.cfg.URL, append(opts, user...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	k.nc = nc
	return k, nil
}

// pause is the time before attempt number n, from 1: it doubles up to pauseMax, and half of it is random, so that a
// cluster's members do not all come back at once.
func pause(n int) time.Duration {
	p := min(pauseMax, pauseMin<<min(max(n-1, 0), 10))
	return p/2 + rand.N(p/2)
}

// rest waits for pause(n), and reports whether it passed before ctx ended.
func rest(ctx context.Context, n int) bool {
	t := time.NewTimer(pause(n))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
