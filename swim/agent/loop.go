package agent

import (
	"context"
	"time"

	"rollcall/swim"
)

// runner is the loop's own state. Nothing else touches the node.
type runner struct {
	*Agent
	node    *swim.Node
	known   bool                   // met is closed
	replies map[uint64]chan []byte // exchange requests, joins: who waits for our state
	token   uint64

	warmer   Warmer    // nil where the transport is none
	tether   Tetherer  // nil where the transport has none
	tethered swim.Peer // what it was asked last
}

// run steps the node until the agent is closed.
func (r *runner) run() {
	defer close(r.loop)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case in := <-r.inbox:
			r.step(in)
		case <-timer.C:
			r.step(&input{Input: swim.Tick()})
		case until := <-r.paused:
			select {
			case <-until:
			case <-r.ctx.Done():
				return
			}
		}
		timer.Reset(time.Until(r.node.Deadline()))
	}
}

// step feeds one input and carries out its effects.
func (r *runner) step(in *input) {
	if in.reply != nil {
		r.token++
		in.Token = r.token
		r.replies[r.token] = in.reply
	}
	var refused error
	for _, e := range r.node.Step(time.Now(), in.Input) {
		if e.Kind == swim.EffectRefused {
			refused = ErrRefused
		}
		r.carryOut(e)
	}
	if to := r.node.Successor(); r.tether != nil && to != r.tethered {
		r.tethered = to
		r.tether.Tether(to)
	}
	r.publish()
	if in.done != nil {
		in.done <- refused
	}
}

func (r *runner) carryOut(e swim.Effect) {
	switch e.Kind {
	case swim.EffectSend:
		r.cfg.Transport.Send(e.To, e.Data)
	case swim.EffectReply:
		r.answer(e)
	case swim.EffectExchange:
		if e.Token != 0 {
			r.answer(e) // a join: whoever asked runs the exchange itself
			return
		}
		r.startExchange(e.To, e.Data)
	case swim.EffectMember:
		r.registry.put(e.Member)
	case swim.EffectForget:
		r.registry.remove(e.Member.ID)
	case swim.EffectTransition:
		r.transition(*e.Transition)
	case swim.EffectDouble:
		if r.cfg.Double != nil {
			r.cfg.Double(e.To.Addr)
		}
	case swim.EffectWarm:
		if r.warmer != nil {
			r.warmer.Warm(e.To)
		}
	case swim.EffectGone:
		r.goneOnce.Do(func() { close(r.gone) })
	}
}

// answer hands our state to whoever waits for it. State is never in the step's scratch memory, so it may be kept.
func (r *runner) answer(e swim.Effect) {
	if c := r.replies[e.Token]; c != nil {
		delete(r.replies, e.Token)
		c <- e.Data
	}
}

func (r *runner) transition(t swim.Transition) {
	if t.Own {
		own := t // copied, so that a transition that is only learned stays off the heap
		r.mu.Lock()
		r.noticed++
		r.mu.Unlock()
		select {
		case r.records <- &own:
		default:
			r.log.Warn("recording is slow; the protocol waits for it")
			select {
			case r.records <- &own:
			case <-r.ctx.Done():
				r.log.Error("closed before a transition could be recorded", "kind", t.Kind.String(), "subject", t.Subject)
			}
		}
	}
	r.log.Debug("transition", "kind", t.Kind.String(), "subject", t.Subject, "incarnation", t.Incarnation, "author", t.Author)
	r.subs.publish(t)
}

// startExchange swaps states with a peer beside the loop.
func (r *runner) startExchange(to swim.Peer, state []byte) {
	select {
	case r.exchange <- struct{}{}:
	default:
		return // enough are running; the views will differ again
	}
	a := r.Agent
	a.workers.Go(func() {
		defer func() { <-a.exchange }()
		ctx, cancel := context.WithTimeout(a.ctx, exchangeLimit)
		defer cancel()
		from, theirs, err := a.cfg.Transport.Exchange(ctx, to, state)
		if err != nil {
			a.log.Debug("state exchange failed", "peer", to.ID, "addr", to.Addr, "error", err)
			return
		}
		_ = a.do(ctx, swim.ExchangeReply(from, to.Addr, theirs)) // closed meanwhile: nothing to tell
	})
}

// publish makes the loop's own state visible.
func (r *runner) publish() {
	if !r.known && r.node.Known() {
		r.known = true
		close(r.met)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = Status{
		Self: r.node.Self(), Health: r.node.Health(), Live: r.node.Live(), Digest: r.node.Digest(), Partition: r.node.Partition(),
		ReturnsIn: r.node.ReturnsIn(), Counters: r.node.Counters(),
	}
}
