package jslog_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/loopback"
	"rollcall/infra/natsd"
)

// I1, I10, I11: the server is stopped and started again, twice, on the same directory and port, while one author appends
// and subscribers read. Nothing acknowledged is missing, nothing is stored twice, every position comes once, in order.
func TestServerRestart(t *testing.T) {
	dir := t.TempDir()
	addr := loopback.Addr(t)
	srv := serve(t, dir, addr)
	cfg := jslog.Config{URL: srv.URL(), Cluster: cluster, Provision: true, AppendTimeout: time.Second}
	log := connect(t, cfg)
	mustAppend(t, log, event(events.Joined, "n1"), 0)
	feeds := []*feed{
		follow(t, log, events.Filter{}, events.From{}),
		follow(t, log, events.Filter{Node: "n1"}, events.From{}),
		follow(t, log, events.Filter{Kind: events.HealthCheckFailed}, events.From{Time: time.Now().Add(-time.Hour)}),
		follow(t, log, events.Filter{Author: "observer"}, events.From{Position: 2}),
	}
	feeds[0].want(t, 1)
	feeds[1].want(t, 1)

	const each = 60
	sent := make(chan uint64)
	go func() {
		defer close(sent)
		last := uint64(1)
		for range 3 * each {
			last = persist(t, log, event(events.HealthCheckFailed, "n1"), last)
			sent <- last
		}
	}()
	position := uint64(1)
	for range 3 {
		for range each {
			position++
			if got := <-sent; got != position {
				t.Fatalf("appended at %d, want %d: something was stored twice", got, position)
			}
			if position%each == 10 { // with appends and reads on their way
				srv.Shutdown()
				srv = serve(t, dir, addr)
			}
			for _, f := range feeds {
				f.want(t, position)
			}
		}
	}
	info, err := log.Info(bounded(t))
	if err != nil || info.Last != 1+3*each {
		t.Errorf("the log ends at %d (error %v), want %d", info.Last, err, 1+3*each)
	}
}

// persist appends ev until it is known to be stored, as a recorder does.
func persist(t *testing.T, log *jslog.Log, ev events.Event, expect uint64) uint64 {
	deadline := time.After(patience)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		position, err := log.Append(ctx, ev, expect)
		cancel()
		var duplicate *events.DuplicateError
		switch {
		case err == nil:
			return position
		case errors.As(err, &duplicate):
			return duplicate.Position
		case !errors.Is(err, events.ErrUnavailable):
			t.Errorf("append expecting %d: %v", expect, err)
			return 0
		}
		select {
		case <-deadline:
			t.Errorf("append expecting %d: still %v", expect, err)
			return 0
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// A member starts while the log is away: it is told so at once, waits where waiting is meant, and goes on by itself.
func TestLazyStart(t *testing.T) {
	addr := loopback.Addr(t)
	var seen statuses
	log := connect(t, jslog.Config{URL: "nats://" + addr, Provision: true, Lazy: true, OnStatus: seen.add})
	begin := time.Now()
	for what, call := range map[string]func() error{
		"append": func() error { _, err := log.Append(bounded(t), event(events.Joined, "n1"), 0); return err },
		"last":   func() error { _, err := log.Last(bounded(t), "n1"); return err },
		"info":   func() error { _, err := log.Info(bounded(t)); return err },
	} {
		if err := call(); !errors.Is(err, events.ErrUnavailable) {
			t.Errorf("%s while the log is away: %v; want ErrUnavailable", what, err)
		}
	}
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("three calls took %v while the log is away, want an answer at once", took)
	}
	f := follow(t, log, events.Filter{}, events.From{})
	srv := serve(t, t.TempDir(), addr)
	eventually(t, "the log is ready", log.Connected)
	mustAppend(t, log, event(events.Joined, "n1"), 0)
	f.want(t, 1)
	eventually(t, "readiness is reported", func() bool { return seen.last().Ready })

	srv.Shutdown()
	eventually(t, "the loss is reported", func() bool { return !seen.last().Connected && !log.Connected() })
	if _, err := log.Append(bounded(t), event(events.Left, "n1"), 1); !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("append after the loss: %v; want ErrUnavailable", err)
	}
	log.Close()
	if _, err := log.Append(bounded(t), event(events.Left, "n1"), 1); !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("append after Close: %v; want ErrUnavailable", err)
	}
	f.wantLast(t, events.ErrUnavailable)
}

type statuses struct {
	mu  sync.Mutex
	all []jslog.Status
}

func (s *statuses) add(status jslog.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, status)
}

func (s *statuses) last() jslog.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 0 {
		return jslog.Status{}
	}
	return s.all[len(s.all)-1]
}

func TestConnectIsBoundedByItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := jslog.Connect(ctx, jslog.Config{URL: "nats://" + loopback.Addr(t), Cluster: cluster})
	if !errors.Is(err, events.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Connect to nobody: %v; want ErrUnavailable and the deadline", err)
	}
}

// An append whose acknowledgement is lost with the connection is answered at once, not after its time-out, and its retry
// is told where the first try went.
func TestLostAcknowledgement(t *testing.T) {
	srv := serve(t, t.TempDir(), "127.0.0.1:0")
	relay := newRelay(t, strings.TrimPrefix(srv.URL(), "nats://"))
	log := connect(t, jslog.Config{URL: "nats://" + relay.addr(), Provision: true})
	witness := connect(t, jslog.Config{URL: srv.URL()})
	joined := mustAppend(t, log, event(events.Joined, "n1"), 0)

	relay.swallow()
	ev := event(events.Suspected, "n1")
	failed := make(chan error, 1)
	go func() {
		_, err := log.Append(bounded(t), ev, joined)
		failed <- err
	}()
	eventually(t, "the event is stored", func() bool {
		rec, err := witness.Last(bounded(t), "n1")
		return err == nil && rec.ID == ev.ID
	})
	begin := time.Now()
	relay.cut()
	if err := <-failed; !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("append without an acknowledgement: %v; want ErrUnavailable", err)
	}
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("the loss of the connection was noticed after %v", took)
	}
	eventually(t, "the log is back", log.Connected)
	for _, expect := range []uint64{joined, joined + 1} { // as it was, and as somebody who has read the log would
		var duplicate *events.DuplicateError
		if _, err := log.Append(bounded(t), ev, expect); !errors.As(err, &duplicate) || duplicate.Position != joined+1 {
			t.Errorf("retry expecting %d: %v; want a duplicate of position %d", expect, err, joined+1)
		}
	}
}

// relay passes bytes between clients and a server, until it swallows what the server says or cuts everybody off.
type relay struct {
	l      net.Listener
	target string

	mu      sync.Mutex
	deaf    bool
	instead []byte // of what the server says, the second half where it says the first, which is as long
	conns   []net.Conn
}

func newRelay(t *testing.T, target string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{l: l, target: target}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				client.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, client, server)
			r.mu.Unlock()
			running.Go(func() { r.pass(server, client, false) })
			running.Go(func() { r.pass(client, server, true) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		r.cut()
		running.Wait()
	})
	return r
}

func (r *relay) addr() string { return r.l.Addr().String() }

func (r *relay) pass(to, from net.Conn, answers bool) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		r.mu.Lock()
		drop, half := answers && r.deaf, len(r.instead)/2
		if answers && half > 0 {
			copy(buf[:n], bytes.ReplaceAll(buf[:n], r.instead[:half], r.instead[half:]))
		}
		r.mu.Unlock()
		if drop {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (r *relay) swallow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deaf = true
}

// rewrite has the server say after where it says before, which is as long.
func (r *relay) rewrite(before, after string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.instead = []byte(before + after)
}

// cut closes every connection; new ones pass everything again.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	r.conns, r.deaf = nil, false
}

// An embedded server that is shut down and replaced by another on the same directory, reached in process.
func TestInProcessServerRestart(t *testing.T) {
	dir := t.TempDir()
	var embedded swap
	embedded.set(serve(t, dir, ""))
	log := connect(t, jslog.Config{InProcess: &embedded, Provision: true})
	f := follow(t, log, events.Filter{}, events.From{})
	mustAppend(t, log, event(events.Joined, "n1"), 0)
	f.want(t, 1)
	embedded.get().Shutdown()
	eventually(t, "the loss is noticed", func() bool { return !log.Connected() })
	embedded.set(serve(t, dir, ""))
	eventually(t, "the log is back", log.Connected)
	mustAppend(t, log, event(events.Left, "n1"), 1)
	f.want(t, 2)
}

// swap is an embedded server that can be exchanged.
type swap struct {
	mu  sync.Mutex
	srv *natsd.Server
}

func (s *swap) set(srv *natsd.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.srv = srv
}

func (s *swap) get() *natsd.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.srv
}

func (s *swap) InProcessConn() (net.Conn, error) { return s.get().InProcessConn() }
