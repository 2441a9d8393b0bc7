package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os/exec"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/projections/projector"
	"rollcall/test/story"
)

const cluster = "default"

// limit bounds each step.
const limit = 3 * time.Minute

// fill makes the stream and writes the story into it.
func (b *bench) fill(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	log, err := jslog.Connect(ctx, jslog.Config{URL: b.url, Cluster: cluster, Name: "views", Provision: true})
	if err != nil {
		return err
	}
	defer log.Close()
	b.tale = story.New(story.Config{Cluster: cluster, Nodes: b.nodes, Seed: b.seed})
	began := time.Now()
	size, err := b.tell(ctx, b.events, 0)
	if err != nil {
		return err
	}
	b.report.say("log written", "%.0f s, %d bytes an event", time.Since(began).Seconds(), size/int(b.events))
	return settle(ctx)
}

// settle waits until what was written is on disk: the first flush of a projector would wait for all of it, which is nothing that
// reads a log.
func settle(ctx context.Context) error {
	if err := exec.CommandContext(ctx, "sync").Run(); err != nil && !errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// tell writes the next n events of the story into the stream, so many each second, or as fast as it takes them where that is 0. It
// returns how large they are together.
func (b *bench) tell(ctx context.Context, n uint64, rate int) (size int, err error) {
	nc, err := nats.Connect(b.url)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(5000))
	if err != nil {
		return 0, err
	}
	began := time.Now()
	for i := range n {
		ev := b.tale.Next()
		body, err := events.Encode(ev)
		if err != nil {
			return 0, err
		}
		size += len(body)
		if rate > 0 {
			if err := rest(ctx, time.Until(began.Add(time.Duration(i)*time.Second/time.Duration(rate)))); err != nil {
				return 0, err
			}
		}
		if _, err := js.PublishMsgAsync(&nats.Msg{Subject: events.Subject(ev), Data: body}, jetstream.WithStallWait(limit)); err != nil {
			return 0, err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
		return size, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// race lets the log be delivered, be folded by who it is delivered to, and be folded by a projector, by turns. It ends with a projector
// that has folded.
func (b *bench) race(ctx context.Context) error {
	ways := []struct {
		what string
		read func(context.Context) (float64, error)
		rate []float64
		part []float64 // of delivered, in the same round
	}{
		{what: "delivered undecoded", read: b.deliver},
		{what: "folded into all views", read: b.fold},
		{what: "folded by a projector", read: b.project},
	}
	for round := range b.rounds {
		for n := range ways {
			way := &ways[(n+round)%len(ways)] // what else the machine does changes, and then which of them goes first
			rate, err := way.read(ctx)
			if err != nil {
				return err
			}
			way.rate = append(way.rate, rate)
		}
		for n := range ways {
			way := &ways[n]
			way.part = append(way.part, 100*way.rate[round]/ways[0].rate[round])
		}
	}
	if (b.rounds-1)%len(ways) > 0 { // the last round did not end with a projector
		if _, err := b.project(ctx); err != nil {
			return err
		}
	}
	for _, way := range ways {
		b.report.rounds(way.what, way.rate, "events/s")
	}
	b.report.bound("folded of delivered", median(ways[1].part), 60, atLeast,
		fmt.Sprintf("%%, the median of %d rounds: %.0f", b.rounds, ways[1].part))
	b.report.say("by a projector of delivered", "%.0f %%, the median of %d rounds: %.0f", median(ways[2].part), b.rounds, ways[2].part)
	b.report.say("processor time of a projector", "%.2f µs an event, with the start, snapshots and checkpoints",
		float64(b.projector.cpu().Microseconds())/float64(b.events))
	b.report.memory("memory once folded", b.projector)
	return nil
}

// consume reads the log with read in this process, through the consumer that the projector reads through, with as many threads and as
// much leave to spend memory as a projector takes, where nothing else goes on: events/s from the first event on, which read tells.
func (b *bench) consume(ctx context.Context, garbage int, read func(*jslog.Log, context.Context, func()) error) (float64, error) {
	if b.projector != nil {
		b.projector.kill()
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	log, err := jslog.Connect(ctx, jslog.Config{URL: b.url, Cluster: cluster, Name: "views"})
	if err != nil {
		return 0, err
	}
	defer log.Close()
	defer debug.SetGCPercent(debug.SetGCPercent(garbage))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(4, runtime.GOMAXPROCS(0))))
	var first time.Time
	if err := read(log, ctx, func() { first = time.Now() }); err != nil {
		return 0, err
	}
	return float64(b.events-1) / time.Since(first).Seconds(), context.Cause(ctx)
}

// deliver takes the log and looks at nothing.
func (b *bench) deliver(ctx context.Context) (float64, error) {
	return b.consume(ctx, garbageLittle, func(log *jslog.Log, ctx context.Context, begun func()) error {
		for msg, err := range log.Scan(ctx, b.events) {
			switch {
			case err != nil:
				return err
			case msg.Position == 1:
				begun()
			}
		}
		return nil
	})
}

// fold takes the log and folds it into all views, as a projector does that writes nothing down and answers nobody.
func (b *bench) fold(ctx context.Context) (float64, error) {
	return b.consume(ctx, garbageMuch, func(log *jslog.Log, ctx context.Context, begun func()) error {
		p, err := projector.Open(projector.Config{Log: log, Cluster: cluster})
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		ran := make(chan error, 1)
		go func() { ran <- p.Run(ctx) }()
		err = p.WaitFor(ctx, 1)
		begun()
		if err == nil {
			err = p.WaitFor(ctx, b.events)
		}
		cancel()
		return errors.Join(err, <-ran)
	})
}

// How much garbage a projector lets come, in percent of what it holds: while that is little, and once it holds the views.
const (
	garbageLittle = 400
	garbageMuch   = 100
)

// project starts a projector with nothing and waits until it has everything: events/s.
func (b *bench) project(ctx context.Context) (float64, error) {
	if err := b.fresh(ctx); err != nil {
		return 0, err
	}
	return b.foldRate(ctx)
}

// foldRate follows the projector's position from its first event to its last.
func (b *bench) foldRate(ctx context.Context) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var began time.Time
	var from uint64
	for {
		position, err := b.position(ctx)
		if err != nil {
			return 0, err
		}
		switch now := time.Now(); {
		case from == 0 && position > 0:
			began, from = now, position
		case position >= b.events:
			return float64(position-from) / now.Sub(began).Seconds(), nil
		}
		if err := rest(ctx, 20*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

func (b *bench) position(ctx context.Context) (uint64, error) {
	var answer struct{ Position uint64 }
	raw, status, err := get(ctx, b.api+"/livez")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("/livez: status %d", status)
	}
	if err == nil {
		err = json.Unmarshal(raw, &answer)
	}
	return answer.Position, err
}

// restart kills the projector once it has a snapshot of everything, and starts it again.
func (b *bench) restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := b.snapshotTaken(ctx); err != nil {
		return err
	}
	var worst time.Duration
	for range restarts {
		b.projector.kill()
		if err := b.startProjector(ctx); err != nil {
			return err
		}
		if err := b.ready(ctx); err != nil {
			return err
		}
		worst = max(worst, time.Since(b.projector.began))
	}
	b.report.bound("kill -9 to ready again", worst.Seconds(), 2, atMost, fmt.Sprintf("s, the longest of %d", restarts))
	b.report.memory("memory after that", b.projector)
	return nil
}

const restarts = 3

func (b *bench) ready(ctx context.Context) error {
	for {
		_, status, err := get(ctx, b.api+"/readyz")
		if err != nil || status == http.StatusOK {
			return err
		}
		if err := rest(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

// snapshotTaken waits for a snapshot that holds everything but what is too little for another one.
func (b *bench) snapshotTaken(ctx context.Context) error {
	for {
		var answer struct {
			Snapshot struct {
				Position uint64
				Bytes    int64
			}
		}
		raw, _, err := get(ctx, b.api+"/v1/projections")
		if err == nil {
			err = json.Unmarshal(raw, &answer)
		}
		if err != nil {
			return err
		}
		if answer.Snapshot.Position > b.events-b.snapshotEvery() {
			b.report.say("snapshot", "%.0f MB", float64(answer.Snapshot.Bytes)/1e6)
			return nil
		}
		if err := rest(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// past reads as of instants around the middle of the log.
func (b *bench) past(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	rnd := rand.New(rand.NewPCG(b.seed, 1))
	var views, histories []time.Duration
	for i := range b.asOf {
		at := b.events*45/100 + rnd.Uint64N(b.events/10)
		path, into := fmt.Sprintf("/v1/nodes/%s?at=%d", story.ID(rnd.IntN(b.nodes)), at), &views
		switch i % 4 {
		case 1:
			path = fmt.Sprintf("/v1/nodes?%s&at=%d", tagQuery, at)
		case 3:
			path, into = fmt.Sprintf("/v1/nodes/%s/history?at=%d", story.ID(rnd.IntN(b.nodes)), at), &histories
		}
		began := time.Now()
		if raw, status, err := get(ctx, b.api+path); err != nil || status != http.StatusOK {
			return fmt.Errorf("%s: status %d, %w: %.200s", path, status, err, raw)
		}
		*into = append(*into, time.Since(began))
	}
	b.report.latency("nodes as of half-way", views, 200*time.Millisecond)
	b.report.quantiles("a history as of half-way", histories)
	return nil
}

// tagQuery chooses one node in thirty.
var tagQuery = "tag=" + url.QueryEscape("role=worker,zone in (eu-1a)")

// busy asks a projector that started with nothing, from the moment at which it knows every node until it has everything.
func (b *bench) busy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var one, many []time.Duration
	for range busyRounds {
		if err := b.fresh(ctx); err != nil {
			return err
		}
		for position := uint64(0); position < uint64(b.nodes); {
			var err error
			if position, err = b.position(ctx); err != nil {
				return err
			}
			if err := rest(ctx, 5*time.Millisecond); err != nil {
				return err
			}
		}
		o, m, err := b.ask(ctx, func() (bool, error) {
			position, err := b.position(ctx)
			return position >= b.events, err
		})
		if err != nil {
			return err
		}
		one, many = append(one, o...), append(many, m...)
	}
	b.report.latency("one node, catching up", one, oneMax)
	b.report.latency("a tag expression, catching up", many, manyMax)
	b.report.memory("memory then", b.projector)
	return nil
}

const (
	busyRounds = 2

	// What a request may take, p99.
	oneMax  = 2 * time.Millisecond
	manyMax = 20 * time.Millisecond
)

// live asks the projector, which has everything, while the story goes on at a steady rate and is folded as it comes.
func (b *bench) live(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := b.ready(ctx); err != nil {
		return err
	}
	told := make(chan error, 1)
	go func() {
		_, err := b.tell(ctx, uint64(b.pace*b.seconds), b.pace)
		told <- err
	}()
	one, many, err := b.ask(ctx, func() (bool, error) {
		select {
		case err := <-told:
			return true, err
		default:
			return false, nil
		}
	})
	if err != nil {
		return err
	}
	b.report.latency("one node, live", one, oneMax)
	b.report.latency("a tag expression, live", many, manyMax)
	b.report.say("live is", "%d events/s for %d s", b.pace, b.seconds)
	return nil
}

// ask sends requests at the rate, none waiting for another's answer, until done says so, which it is asked once a second. A request
// takes from when it is made, which a timer of this process has come to by up to a millisecond late, until all of the answer is here.
func (b *bench) ask(ctx context.Context, done func() (bool, error)) (one, many []time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var asking sync.WaitGroup
	rnd := rand.New(rand.NewPCG(b.seed, 2))
	began := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		if i%b.rate == 0 {
			if enough, err := done(); err != nil || enough {
				cancel(err)
				break
			}
		}
		due := began.Add(time.Duration(i) * time.Second / time.Duration(b.rate))
		if err := rest(ctx, time.Until(due)); err != nil {
			break
		}
		path, into := "/v1/nodes/"+story.ID(rnd.IntN(b.nodes)), &one
		if i%2 == 1 {
			path, into = "/v1/nodes?"+tagQuery, &many
		}
		made := time.Now()
		asking.Go(func() {
			if err := load(context.WithoutCancel(ctx), b.api+path); err != nil {
				cancel(fmt.Errorf("%s: %w", path, err))
				return
			}
			took := time.Since(made)
			mu.Lock()
			defer mu.Unlock()
			*into = append(*into, took)
		})
	}
	asking.Wait()
	if err := context.Cause(ctx); err != nil && err != context.Canceled {
		return nil, nil, err
	}
	return one, many, nil
}

var client = &http.Client{
	Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
}

func get(ctx context.Context, url string) ([]byte, int, error) {
	res, err := send(ctx, url)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	return raw, res.StatusCode, err
}

// load gets all of an answer and keeps none of it: garbage of this process is none of what the projector takes.
func load(ctx context.Context, url string) error {
	res, err := send(ctx, url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		raw, err := io.ReadAll(io.LimitReader(res.Body, 200))
		return errors.Join(fmt.Errorf("%s: %s", res.Status, raw), err)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

func send(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return client.Do(req)
}

// rest waits for d, unless ctx ends first.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
