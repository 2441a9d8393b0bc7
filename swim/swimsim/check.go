package swimsim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"rollcall/swim"
)

// Report is what a checked run came to.
type Report struct {
	Seed     uint64
	Members  int
	Strategy swim.Strategy
	Hash     uint64
	Steps    uint64
	Faults   int
	Settled  time.Duration // from the last fault to agreement
	Err      error         // nil when every invariant held
}

// Bounds of a checked run.
const (
	faultsLast   = 30 * time.Second // faults happen for so long
	settleWithin = 3 * time.Minute  // agreement is demanded so long after the last fault (I12, I13, I14)
	settledFor   = 5 * time.Second  // and has to last
	seedRetry    = 10 * time.Second // between attempts at a seed that is not alive in a view
)

// Check makes one whole run of a seed: it chooses a cluster of 2 to 24 members, a network, and faults of every kind, checks
// safety after every step, then heals everything and demands that all views agree with the truth and stay so.
func Check(seed uint64) Report {
	p := newPlan(seed)
	p.form()
	p.trouble()
	p.heal()
	r := Report{Seed: seed, Members: len(p.w.all), Strategy: p.strategy, Faults: p.faults}
	r.Settled = p.settle()
	r.Hash, r.Steps = p.w.Hash(), p.w.Steps
	if err := errors.Join(p.w.Err(), p.err); err != nil {
		r.Err = fmt.Errorf("seed %d, %d members, %s: %w\nthe end of the run:\n%s\nagain: go run ./swim/swimsim/cmd/simulate check -first %d -seeds 1",
			seed, r.Members, StrategyName(r.Strategy), err, strings.Join(p.w.Trace(), "\n"), seed)
	}
	return r
}

// StrategyName is the word for a strategy in commands and tables.
func StrategyName(s swim.Strategy) string {
	if s == swim.RoundRobin {
		return "classic"
	}
	return "rings"
}

// plan chooses what happens in a checked run. It draws from a generator of its own, so that the choice of faults does not
// depend on what the protocol makes of them.
type plan struct {
	w        *World
	rng      *rand.Rand
	strategy swim.Strategy
	network  Network
	faults   int
	gone     map[*Member]bool // left for good
	healed   bool             // no new fault from now on
	err      error
}

func newPlan(seed uint64) *plan {
	p := &plan{rng: rand.New(rand.NewPCG(seed, 0x66617563)), gone: map[*Member]bool{}}
	if p.rng.IntN(4) == 0 {
		p.strategy = swim.RoundRobin
	}
	pick := func(values ...float64) float64 { return values[p.rng.IntN(len(values))] }
	p.network = Network{
		Delay:     []time.Duration{DelayDefault, DelayDefault, 5 * time.Millisecond, 40 * time.Millisecond}[p.rng.IntN(4)],
		Loss:      pick(0, 0, 0.01, 0.05, 0.2),
		Duplicate: pick(0, 0.02, 0.2),
		Reorder:   pick(0, 0.05, 0.5),
	}
	p.network.Jitter = time.Duration(pick(0, 0.5, 2) * float64(p.network.Delay))
	cfg := Config{
		Seed: seed, Network: p.network, Checked: true, Hints: p.rng.IntN(2) == 0,
		Node: swim.Config{Strategy: p.strategy, SyncInterval: 20 * time.Second},
	}
	if p.rng.IntN(3) != 0 {
		cfg.Log = &LogConfig{Latency: time.Duration(pick(1, 5, 50)) * time.Millisecond}
	}
	p.w = New(cfg)
	return p
}

// form starts a cluster, mostly a small one, whose members join while it runs.
func (p *plan) form() {
	n := 2 + p.rng.IntN(7)
	if p.rng.IntN(3) == 0 {
		n = 2 + p.rng.IntN(23)
	}
	first := p.w.Start(Name(0))
	for i := 1; i < n; i++ {
		p.w.Start(Name(i)).Join(first)
		p.w.Run(p.upTo(300 * time.Millisecond))
	}
	p.keepSeeds()
	p.w.Run(p.upTo(10 * time.Second))
}

// keepSeeds does what a host with a list of seeds does: it asks a seed again that its view does not hold alive. Restarts with
// lost state during a partition can leave islands that know nothing of each other; nothing else joins them.
func (p *plan) keepSeeds() {
	seed := p.w.all[0]
	for _, m := range p.w.all[1:] {
		if m.running && seed.running && !holdsAlive(m, seed.ID) {
			m.step(swim.Join(seed.Addr, 0))
		}
	}
	p.later(seedRetry, p.keepSeeds)
}

func holdsAlive(m *Member, id swim.ID) bool {
	return slices.ContainsFunc(m.Node.Members(nil), func(r swim.Member) bool { return r.ID == id && r.State.Live() })
}

func (p *plan) upTo(d time.Duration) time.Duration { return time.Duration(p.rng.Int64N(int64(d))) + 1 }

func (p *plan) member() *Member { return p.w.all[p.rng.IntN(len(p.w.all))] }

// trouble makes a fault about every second.
func (p *plan) trouble() {
	for end := p.w.now + faultsLast; p.w.now < end && p.w.Err() == nil; {
		p.fault()
		p.faults++
		p.w.Run(p.upTo(2 * time.Second))
	}
}

func (p *plan) fault() {
	m := p.member()
	switch kind := p.rng.IntN(12); {
	case kind == 0 && m.running:
		p.w.Crash(m)
		p.later(p.upTo(20*time.Second), func() { p.restart(m) })
	case kind == 1 && m.running:
		p.w.Kill(m)
		p.later(p.upTo(2*time.Second), func() { p.restart(m) })
	case kind == 2 && m.running:
		p.w.Freeze(m)
		p.later(p.upTo(8*time.Second), func() { p.w.Thaw(m) })
	case kind == 3 && m.running:
		p.w.Block(m)
		p.later(p.upTo(8*time.Second), func() { p.w.Thaw(m) })
	case kind == 4:
		p.cutFor(p.upTo(12*time.Second), p.oneWay())
	case kind == 5:
		p.cutFor(p.upTo(20*time.Second), p.partition())
	case kind == 6:
		p.flipFlop(p.oneWay(), 1+p.rng.IntN(10), p.upTo(3*time.Second))
	case kind == 7 && m.running && p.rng.IntN(3) == 0:
		p.depart(m)
	case kind == 8 && m.Well():
		m.step(swim.SetTags(swim.Tags{{Key: "turn", Value: fmt.Sprint(p.faults)}}))
	case kind == 9 && p.w.log != nil:
		p.w.log.Stop()
		p.later(p.upTo(10*time.Second), p.w.log.Restore)
	case kind == 10 && p.w.log != nil:
		p.w.log.Detach(m)
		p.later(p.upTo(10*time.Second), func() { p.w.log.Attach(m) })
	case kind == 11:
		worse := p.network
		worse.Loss = p.rng.Float64() * 0.6
		p.w.SetNetwork(worse)
		p.later(p.upTo(5*time.Second), func() { p.w.SetNetwork(p.network) })
	}
}

func (p *plan) later(d time.Duration, f func()) { p.w.At(d, f) }

func (p *plan) restart(m *Member) {
	if !m.running && !p.gone[m] {
		p.w.Start(m.ID).Join(p.w.anyRunning(m))
	}
}

// depart makes a member leave: for good, or to come back.
func (p *plan) depart(m *Member) {
	p.w.Leave(m)
	p.gone[m] = true
	if p.rng.IntN(2) == 0 {
		p.later(p.upTo(15*time.Second), func() {
			if !m.running {
				p.gone[m] = false
				p.restart(m)
			}
		})
	}
}

func (p *plan) cutFor(d time.Duration, blocks func(from, to *Member) bool) {
	c := p.w.Cut(blocks)
	p.later(d, func() { p.w.Heal(c) })
}

// oneWay stops what goes to one member, from one other or from all.
func (p *plan) oneWay() func(from, to *Member) bool {
	from, to := p.member(), p.member()
	if p.rng.IntN(2) == 0 {
		from = nil
	}
	return func(f, t *Member) bool { return t == to && (from == nil || f == from) }
}

func (p *plan) partition() func(from, to *Member) bool {
	side := make([]bool, len(p.w.all))
	for i := range side {
		side[i] = p.rng.IntN(2) == 0
	}
	return func(from, to *Member) bool { return side[from.index] != side[to.index] }
}

func (p *plan) flipFlop(blocks func(from, to *Member) bool, times int, period time.Duration) {
	if times == 0 || p.healed {
		return
	}
	c := p.w.Cut(blocks)
	p.later(period/2, func() { p.w.Heal(c) })
	p.later(period, func() { p.flipFlop(blocks, times-1, period) })
}

// heal lets the faults that are under way run out, and ends what is left.
func (p *plan) heal() {
	p.w.Run(20 * time.Second)
	p.healed = true
	p.w.HealAll()
	p.network.Loss, p.network.Reorder, p.network.Duplicate = 0, 0, 0
	p.w.SetNetwork(p.network)
	for _, m := range p.w.all {
		p.w.Thaw(m)
		if p.w.log != nil {
			p.w.log.Attach(m)
		}
		if !m.running && !p.gone[m] && p.rng.IntN(2) == 0 {
			p.restart(m)
		}
	}
	if p.w.log != nil {
		p.w.log.Restore()
	}
}

// settle runs until everybody agrees with the truth, and demands that it stays so.
func (p *plan) settle() time.Duration {
	healed := p.w.now
	for p.w.now-healed < settleWithin && p.w.Err() == nil {
		p.w.Run(time.Second)
		if p.w.Disagreement() != nil {
			continue
		}
		settled := p.w.now - healed
		p.w.Run(settledFor)
		if err := p.w.Disagreement(); err != nil {
			p.err = fmt.Errorf("I14: agreement did not last: %w", err)
		}
		return settled
	}
	if p.w.Err() == nil {
		p.err = fmt.Errorf("%v after the last fault: %w", settleWithin, p.w.Disagreement())
	}
	return 0
}

// Disagreement says where the views and the log differ from the truth, or from each other; nil means nowhere. It is meant for
// quiet times: who runs is alive in every view at one incarnation (I13, I14), who does not is alive in none (I12). A member
// that is left alone is asked for nothing: it cannot tell the others' end from its own isolation, and judges nobody.
func (w *World) Disagreement() error {
	running := w.running()
	if running < 2 {
		return nil
	}
	var rows []swim.Member
	for _, by := range w.all {
		if !by.running {
			continue
		}
		rows = by.Node.Members(rows[:0])
		alive := 0
		for i := range rows {
			row := &rows[i]
			m := w.members[row.ID]
			switch {
			case !m.running && row.State.Live():
				return fmt.Errorf("I12: %s holds %s %v@%d, which is not running", by.ID, m.ID, row.State, row.Incarnation)
			case m.running && row.State != swim.Alive:
				return fmt.Errorf("I13: %s holds %s %v@%d, which is well", by.ID, m.ID, row.State, row.Incarnation)
			case m.running && row.Incarnation != m.Node.Self().Incarnation:
				return fmt.Errorf("I14: %s holds %s@%d, which is at %d", by.ID, m.ID, row.Incarnation, m.Node.Self().Incarnation)
			case m.running:
				alive++
			}
		}
		if alive != running {
			return fmt.Errorf("I14: %s knows %d of %d members", by.ID, alive, running)
		}
		if err := w.logDisagrees(by); err != nil {
			return err
		}
	}
	return nil
}

// logDisagrees says where the log differs from a member that runs.
func (w *World) logDisagrees(m *Member) error {
	if w.log == nil {
		return nil
	}
	self := m.Node.Self()
	if claim, ok := w.log.Node(m.ID); !ok || claim.State != swim.Alive || claim.Incarnation != self.Incarnation {
		return fmt.Errorf("I14: the log holds %s %v@%d, which is alive at %d", m.ID, claim.State, claim.Incarnation, self.Incarnation)
	}
	return nil
}

func (w *World) running() int {
	n := 0
	for _, m := range w.all {
		if m.running {
			n++
		}
	}
	return n
}
