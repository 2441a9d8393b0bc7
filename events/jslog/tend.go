package jslog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// inspectEveryDefault is the mean time between two looks at the stream while it is in use, so that one that was altered or
// deleted meanwhile is not trusted for longer. A look is one small request to the stream's leader.
const inspectEveryDefault = 5 * time.Second

// The callbacks of a connection. nats.go calls them one after the other.

func (l *Log) connected(k *link) {
	k.up()
	l.set(Status{Connected: true, Err: fmt.Errorf("%w: the stream was not looked at yet", events.ErrUnavailable)}, nil)
}

func (l *Log) disconnected(k *link, err error) {
	if l.ctx.Err() != nil {
		return // by Close
	}
	l.cfg.Logger.Warn("log lost", "cluster", l.cfg.Cluster, "error", err)
	l.set(Status{Err: errLost}, nil)
	k.down(errLost) // after the status, so that who is answered by it finds the log away
}

func (l *Log) unreachable(_ *link, err error) {
	if l.ctx.Err() == nil {
		l.set(Status{Err: fmt.Errorf("%w: %w", errAway, err)}, nil)
	}
}

// hungUp is the end of a connection that nats.go does not try again, as after an error of the protocol.
func (l *Log) hungUp(k *link, err error) {
	if l.ctx.Err() != nil {
		return
	}
	l.cfg.Logger.Error("connection to NATS ended, dialling again", "cluster", l.cfg.Cluster, "error", err)
	l.mu.Lock()
	if l.link == k {
		l.link = nil
	}
	l.mu.Unlock()
	l.set(Status{Err: fmt.Errorf("%w: %w", errLost, err)}, nil)
	k.down(errLost)
}

// tend keeps the log usable until Close: a connection, and on it a stream that was looked at.
func (l *Log) tend() {
	defer close(l.done)
	var told Status
	for attempt := 0; ; {
		err, every := l.look(), l.cfg.inspectEvery
		if status := l.Status(); !status.same(told) {
			told = status
			if l.cfg.OnStatus != nil {
				l.cfg.OnStatus(status)
			}
		}
		if err == nil {
			attempt = 0
			select {
			case <-l.kick:
				continue
			case <-time.After(every/2 + rand.N(every)): // a cluster's members do not all ask at once
				continue
			case <-l.ctx.Done():
				return
			}
		}
		attempt++
		if !rest(l.ctx, attempt) {
			return
		}
	}
}

// look does what is to be done now. An error says that it is to be tried again after a pause.
func (l *Log) look() error {
	k, before := l.answerNudge()
	if k == nil {
		return l.redial()
	}
	if !before.Connected {
		return nil
	}
	epoch := k.current()
	ctx, cancel := context.WithTimeout(epoch, lookTimeout)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	info, err := l.inspect(ctx, k, l.found)
	if epoch.Err() != nil || l.ctx.Err() != nil {
		return nil // the connection was lost meanwhile, and what comes next nudges; or this is the end
	}
	if err == nil && info.Cluster != nil && info.Cluster.Leader != "" { // else there is one server, or an election
		l.behind.Store(int64(l.copies.look(ctx, info.Cluster, time.Now(), l.cfg.Logger)))
	}
	unusable := errors.Is(err, ErrDrift) || errors.Is(err, events.ErrNotFound)
	if before.Ready && !unusable {
		return nil // good as before, or a look that came to nothing: an election, an answer that got lost
	}
	status := Status{Connected: true, Ready: err == nil, Err: err}
	var drifted error
	switch {
	case errors.Is(err, ErrDrift):
		drifted = err
		fallthrough
	case err != nil:
		if !l.Status().same(status) {
			l.cfg.Logger.Error("log not usable", "cluster", l.cfg.Cluster, "stream", l.stream, "error", err)
		}
	default:
		l.found, l.good = true, true
	}
	l.setIn(epoch, status, drifted)
	if l.good && unusable {
		l.good = false
		k.renew(epoch, fmt.Errorf("%w: %w", events.ErrUnavailable, err)) // what is read and written now is of no use
	}
	if err == nil { // what the servers say of themselves nobody waits for
		durability, level := l.durability(ctx, k, info)
		l.cfg.Logger.Log(ctx, level, "log ready", "cluster", l.cfg.Cluster, "stream", l.stream, "server", l.cfg.where(k.nc),
			"replicas", info.Config.Replicas, "last", info.State.LastSeq, "durability", durability)
	}
	return err
}

// answerNudge returns what there is to look at. A look that begins with it sees whatever anybody nudged for until now, so it is the
// answer: another one at once would only ask the server again.
func (l *Log) answerNudge() (*link, Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.kick:
	default:
	}
	return l.link, l.status
}

// setIn is set, unless the connection that status is about has ended.
func (l *Log) setIn(epoch context.Context, status Status, drifted error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch.Err() != nil {
		return
	}
	l.status, l.drifted = status, drifted
	close(l.changed)
	l.changed = make(chan struct{})
}

// redial opens a connection where there is none.
func (l *Log) redial() error {
	k, err := l.dial()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.nc.IsClosed() {
		return fmt.Errorf("%w: %w", errLost, k.nc.LastError()) // hungUp may have come before there was anything to forget
	}
	l.link = k
	return nil
}

// doubt has the stream looked at again, after an answer that it may be gone or altered.
func (l *Log) doubt(k *link, err error) {
	if !errors.Is(err, nats.ErrNoResponders) && !errors.Is(err, ErrDrift) && code(err) != jetstream.JSErrCodeStreamNotFound {
		return
	}
	l.setIn(k.current(), Status{Connected: true, Err: fmt.Errorf("%w: %w", events.ErrUnavailable, err)}, nil)
	l.nudge()
}
