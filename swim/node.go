package swim

import (
	"math/rand/v2"
	"time"
)

// Node is one member's protocol state. See the package comment for the host loop.
type Node struct {
	cfg   Config
	epoch time.Time     // wall time of now == 0
	now   time.Duration // since epoch, of the running or last step
	pcg   rand.PCG
	rng   *rand.Rand // over pcg

	// The view: rows by ref, this member first.
	members []*member
	refs    index
	free    []int32
	live    []int32 // refs of alive and suspect members, this one included
	self    *member
	digest  uint64

	// Whom it probes and who probes it.
	rings      []ring
	observed   []int32 // refs on the regular schedule
	next       []int32 // scratch of refreshEdges
	observers  []int32 // scratch of observersOf
	order      []int32 // round robin: the shuffled list and the place in it
	orderAt    int
	edgesStale bool
	edgeMark   uint64
	watchers   []int32            // refs of the members that observe this one, where there is no mesh
	contests   map[int32]*contest // by ref; most members have none

	probes   []probe
	relayed  []relayed
	seq      uint32
	timers   timers
	queue    queue
	suspects int // members under suspicion

	health   int
	heardAny time.Duration // last authenticated packet from anybody
	acked    time.Duration // last ack
	late     time.Duration // see lateness
	lateSeen time.Duration
	unheard  time.Duration // last probe of ours whose direct pings went unanswered
	cold     ration        // relays asked without a warm connection
	warmed   ration        // of these, those named to the host beforehand
	alarmed  time.Duration // last alarm
	stall    stall
	damp     damping
	going    departure
	started  bool
	risen    time.Duration // when it last raised its incarnation
	rises    int           // above remembered lives, within a period of each other
	known    bool          // somebody has answered in this life: what is held against it from now on is held against this life

	gossipTimer uint64
	gossipAt    time.Duration // when it comes
	gossiped    time.Duration // last round
	hurried     time.Duration // last round that was brought forward
	exchanged   time.Duration // last state exchange asked for
	syncTimer   uint64
	syncSeq     uint32 // of the last ping of a sync
	retryTimer  uint64
	periodTimer uint64
	healthTimer uint64
	split       partition

	effects  []Effect
	arena    []byte
	counters Counters
}

// Counters count what a Node met, from its start.
type Counters struct {
	Malformed   uint64 // datagrams or states that broke a rule of the codec; dropped
	Strangers   uint64 // datagrams from members not in the view
	ViewFull    uint64 // newcomers ignored because the view is full
	Stalls      uint64 // times this member stood still and held its judgement
	Probes      uint64 // probes started
	Missed      uint64 // probes whose direct pings went unanswered
	Accusations uint64 // own accusations
	Refutations uint64 // own refutations
	Held        uint64 // own returns held back, because this member had failed too often
	Verdicts    uint64 // own verdicts
	RelaysFull  uint64 // indirect probes refused because too many are served already
}

// effectsKept is the room for effects that a Node keeps from step to step.
const effectsKept = 256

// New makes a Node that starts at now. It fails with what [Config.Validate] says.
func New(cfg Config, now time.Time) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	n := &Node{
		cfg:   cfg,
		epoch: now,
		pcg:   *rand.NewPCG(cfg.Seed, hashID(cfg.ID)),
		arena: make([]byte, 0, arenaSize),

		gossiped:  never,
		hurried:   never,
		exchanged: never,
		acked:     never,
		unheard:   never,
		cold:      ration{since: never},
		warmed:    ration{since: never},
		alarmed:   never,
		risen:     never,
		damp:      damping{outage: never, away: never},
		contests:  make(map[int32]*contest),
	}
	n.rng = rand.New(&n.pcg)
	n.queue.init()
	n.rings = make([]ring, cfg.Rings)
	for i := range n.rings {
		n.rings[i] = newRing(i)
	}
	n.self = n.add(cfg.ID, cfg.Addr)
	n.self.setTags(cfg.Tags)
	n.adopt(n.self, claim{cfg.Incarnation, Alive})
	n.say(n.self, priorityCritical)
	n.syncTimer = n.timers.arm(timerSync, noRef, cfg.SyncInterval/2+n.jitter(cfg.SyncInterval))
	n.retryTimer = n.timers.arm(timerRetry, noRef, n.jitter(cfg.RetryInterval))
	n.healthTimer = n.timers.arm(timerHealth, noRef, n.jitter(cfg.HealthInterval))
	n.split.timer = n.timers.arm(timerPartition, noRef, n.jitter(cfg.ProtocolPeriod))
	if cfg.Strategy == RoundRobin {
		n.periodTimer = n.timers.arm(timerPeriod, noRef, n.jitter(cfg.ProtocolPeriod))
	}
	return n, nil
}

// Step takes one input at a time and returns what the host is to do, in order. Time must not run backwards; a step at an
// earlier time than the last counts as at the last. The effects are valid until the next Step.
func (n *Node) Step(now time.Time, in Input) []Effect {
	if cap(n.effects) > effectsKept {
		n.effects = nil // a large state exchange; not worth its memory for ever
	}
	n.effects = n.effects[:0]
	n.arena = n.arena[:0]
	n.now = max(n.now, now.Sub(n.epoch))
	if !n.started {
		n.started = true
		n.heardAny = n.now
		n.emit(Effect{Kind: EffectMember, Member: n.export(n.self)})
		n.report(Transition{Kind: TransitionJoined, Own: true, Evidence: Evidence{Reason: "start"}}, n.self, 0)
	}
	n.noticeStall()
	n.handle(in)
	n.fire()
	if n.edgesStale {
		n.refreshEdges()
	}
	return n.effects
}

func (n *Node) handle(in Input) {
	switch in.Kind {
	case InputDatagram:
		n.handleDatagram(in)
	case InputExchangeRequest:
		n.handleExchangeRequest(in)
	case InputExchangeReply:
		n.handleExchangeReply(in)
	case InputDown:
		n.handleDown(in)
	case InputJoin:
		n.exchange(in.From, in.Token)
	case InputTags:
		n.setTags(in.Tags)
	case InputRise:
		if n.going.leaving || in.Incarnation >= IncarnationMax-1 {
			n.emit(Effect{Kind: EffectRefused})
			return
		}
		n.rise(in.Incarnation, TransitionJoined, Evidence{Reason: "an earlier life is remembered"})
	case InputLeave:
		n.leave()
	case InputLog:
		n.applyLog(in.Claim)
	}
}

// Deadline says when Step must be called again, if nothing happens before.
func (n *Node) Deadline() time.Time {
	t, ok := n.due()
	if !ok {
		return n.epoch.Add(n.now + n.cfg.SyncInterval)
	}
	return n.wall(t.at)
}

// due returns the earliest timer that its owner still holds.
func (n *Node) due() (timer, bool) {
	for {
		t, ok := n.timers.next()
		if !ok || n.holds(t) {
			return t, ok
		}
		n.timers.pop()
	}
}

// holds reports whether the timer's owner still waits for it.
func (n *Node) holds(t timer) bool {
	switch t.kind {
	case timerPeriod:
		return n.periodTimer == t.id
	case timerProbe:
		return n.probes[t.ref].timer == t.id
	case timerRelay:
		return n.relayed[t.ref].timer == t.id
	case timerGossip:
		return n.gossipTimer == t.id
	case timerSync:
		return n.syncTimer == t.id
	case timerRetry:
		return n.retryTimer == t.id
	case timerProof:
		return n.stall.timer == t.id
	case timerGone:
		return n.going.timer == t.id
	case timerHealth:
		return n.healthTimer == t.id
	case timerPartition:
		return n.split.timer == t.id
	case timerReturn:
		return n.damp.timer == t.id
	case timerAsked:
		return n.damp.asking == t.id
	}
	m := n.members[t.ref]
	switch {
	case m == nil:
		return false
	case t.kind == timerSuspicion:
		return m.suspicion != nil && m.suspicion.timer == t.id
	case t.kind == timerContest:
		c := n.contests[t.ref]
		return c != nil && c.timer == t.id
	case m.edge == nil:
		return false
	case t.kind == timerEdge:
		return m.edge.timer == t.id
	case t.kind == timerRecheck:
		return m.edge.recheck == t.id
	default:
		return m.edge.believe == t.id
	}
}

// fire runs every timer that is due.
func (n *Node) fire() {
	for {
		t, ok := n.due()
		if !ok || t.at > n.now {
			return
		}
		n.timers.pop()
		n.run(t)
	}
}

func (n *Node) run(t timer) {
	switch t.kind {
	case timerEdge:
		n.probeEdge(n.members[t.ref])
	case timerPeriod:
		n.period()
	case timerProbe:
		n.probeTimer(t.ref, n.now-t.at)
	case timerRelay:
		n.relayTimer(t.ref, n.now-t.at)
	case timerSuspicion:
		n.review(n.members[t.ref])
	case timerRecheck:
		n.recheck(n.members[t.ref])
	case timerBelieve:
		n.believe(n.members[t.ref])
	case timerGossip:
		n.gossipRound()
	case timerSync:
		n.sync()
	case timerRetry:
		n.retryFailed()
	case timerProof:
		n.unproven()
	case timerGone:
		n.departing()
	case timerHealth:
		n.checkHealth()
	case timerPartition:
		n.checkPartition()
	case timerReturn:
		n.comeBack()
	case timerAsked:
		n.unanswered()
	case timerContest:
		n.settle(n.members[t.ref])
	}
}

// Counters returns what was counted so far.
func (n *Node) Counters() Counters { return n.counters }

// Health is the local health score, 0 (well) to 8 (Lifeguard, section 4.1).
func (n *Node) Health() int { return n.health }

// Self is this member as it announces itself.
func (n *Node) Self() Member { return n.export(n.self) }

// Live is the number of members that are alive or suspect, this one included.
func (n *Node) Live() int { return len(n.live) }

// Known reports whether any other member has answered this one, or asked it for its state.
func (n *Node) Known() bool { return n.known }

// Digest identifies the set of live members with their incarnations: equal views have equal digests.
func (n *Node) Digest() uint64 { return n.digest }

func (n *Node) wall(d time.Duration) time.Time {
	if d == never {
		return time.Time{}
	}
	return n.epoch.Add(d)
}

// jitter is a random duration below d.
func (n *Node) jitter(d time.Duration) time.Duration { return time.Duration(n.rng.Int64N(int64(d))) }

func (n *Node) emit(e Effect) {
	if n.started {
		n.effects = append(n.effects, e)
	}
}

// report completes t with the subject's row and emits it.
func (n *Node) report(t Transition, m *member, before State) {
	t.Subject, t.Incarnation, t.Addr, t.Tags = m.id, m.incarnation, m.addr(), m.tags()
	t.At, t.Before = n.wall(n.now), before
	if t.Own {
		t.Author = n.self.id
	}
	n.emit(Effect{Kind: EffectTransition, Transition: &t})
}
