package swimsim

import (
	"math/rand/v2"
	"slices"
	"time"

	"rollcall/swim"
)

// Setup is what a measurement is made with.
type Setup struct {
	Members  int
	Strategy swim.Strategy
	Log      bool
	Seed     uint64
	Level    float64 // how bad it is, in the scenario's own unit
	Node     swim.Config
}

// Outcome is what one or several runs of a scenario came to.
type Outcome struct {
	FirstSuspect []time.Duration // one a victim: from the fault to the first accusation
	Everywhere   []time.Duration // one a victim: until the last survivor held it failed
	Missed       int             // victims that somebody never held failed
	Agreed       []time.Duration // one a run: from the end of the fault until all views were equal
	Apart        int             // runs that never agreed again

	Suspicions  int // accusations of healthy members
	Verdicts    int // healthy members failed in anybody's view, once an incarnation
	Views       int // the same, once for every view
	LogVerdicts int // the same, in the log
	Stalled     int // members that stood still and were failed for it, once an incarnation

	Quiet, Trouble Traffic // before the fault, and from its begin on
}

// Traffic is what members sent, QUIC's own part not counted.
type Traffic struct {
	Datagrams, Bytes uint64
	Dials            uint64 // new connections
	MemberSeconds    float64
}

// Rate is datagrams and bytes a member and second, and new connections a member and minute.
func (t Traffic) Rate() (datagrams, bytes, dials float64) {
	if t.MemberSeconds == 0 {
		return 0, 0, 0
	}
	return float64(t.Datagrams) / t.MemberSeconds, float64(t.Bytes) / t.MemberSeconds, 60 * float64(t.Dials) / t.MemberSeconds
}

func (t *Traffic) add(o Traffic) {
	t.Datagrams += o.Datagrams
	t.Bytes += o.Bytes
	t.Dials += o.Dials
	t.MemberSeconds += o.MemberSeconds
}

// Add takes another run's outcome in.
func (o *Outcome) Add(p Outcome) {
	o.FirstSuspect = append(o.FirstSuspect, p.FirstSuspect...)
	o.Everywhere = append(o.Everywhere, p.Everywhere...)
	o.Agreed = append(o.Agreed, p.Agreed...)
	o.Missed += p.Missed
	o.Apart += p.Apart
	o.Suspicions += p.Suspicions
	o.Verdicts += p.Verdicts
	o.Views += p.Views
	o.LogVerdicts += p.LogVerdicts
	o.Stalled += p.Stalled
	o.Quiet.add(p.Quiet)
	o.Trouble.add(p.Trouble)
}

// Quantile is the q-th part of the sorted values, rounded up to one that occurred; 0 when there are none.
func Quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// trial is one run of a scenario while it is measured.
type trial struct {
	Setup
	w       *World
	rng     *rand.Rand // of the scenario's own choices
	out     Outcome
	faulty  map[swim.ID]bool // what is said of them is not held against anybody
	victims map[swim.ID]*victim
	failed  map[episode]bool // verdicts about others than victims
	began   Traffic
	since   time.Duration
}

// victim is a member that crashed.
type victim struct {
	at    time.Duration
	first time.Duration // -1: nobody has accused it
	last  time.Duration
	know  map[*Member]bool
}

// settleFor is how long a cluster runs before it is measured: some cycles of its probes.
const settleFor = 20 * time.Second

func newTrial(s Setup, network Network) *trial {
	t := &trial{
		Setup: s, rng: rand.New(rand.NewPCG(s.Seed, 0x747269616c)), faulty: map[swim.ID]bool{},
		victims: map[swim.ID]*victim{}, failed: map[episode]bool{},
	}
	cfg := Config{Seed: s.Seed, Network: network, Node: s.Node, Watch: t.watch}
	cfg.Node.Strategy = s.Strategy
	if s.Log {
		cfg.Log = &LogConfig{}
	}
	t.w = New(cfg)
	for i := range s.Members {
		t.w.Start(Name(i))
	}
	t.w.Seed()
	t.w.Run(settleFor + time.Duration(t.rng.Int64N(int64(10*time.Second))))
	t.out = Outcome{}
	return t
}

func (t *trial) watch(o Observation) {
	if o.Kind != swim.TransitionSuspected && o.Kind != swim.TransitionFailed {
		return
	}
	if v := t.victims[o.Subject]; v != nil {
		if o.Kind == swim.TransitionFailed && !v.know[o.By] {
			v.know[o.By] = true
			v.last = o.At
		} else if v.first < 0 {
			v.first = o.At
		}
		return
	}
	faulty := t.faulty[o.Subject]
	if o.Kind == swim.TransitionSuspected {
		if o.Own && !faulty {
			t.out.Suspicions++
		}
		return
	}
	of := episode{o.Subject, o.Incarnation}
	if !faulty {
		t.out.Views++
	}
	switch {
	case t.failed[of]:
	case faulty:
		t.out.Stalled++
	default:
		t.out.Verdicts++
	}
	t.failed[of] = true
}

// meter starts counting traffic; metered returns what was counted since.
func (t *trial) meter() {
	t.began = Traffic{Datagrams: t.w.Sent, Bytes: t.w.Bytes, Dials: t.w.Dials}
	t.since = t.w.now
}

func (t *trial) metered() Traffic {
	return Traffic{
		Datagrams: t.w.Sent - t.began.Datagrams, Bytes: t.w.Bytes - t.began.Bytes, Dials: t.w.Dials - t.began.Dials,
		MemberSeconds: (t.w.now - t.since).Seconds() * float64(t.w.running()),
	}
}

// quiet measures the steady state.
func (t *trial) quiet(d time.Duration) {
	t.meter()
	t.w.Run(d)
	t.out.Quiet.add(t.metered())
	t.meter()
}

// crash ends members at once.
func (t *trial) crash(members ...*Member) {
	for _, m := range members {
		t.victims[m.ID] = &victim{at: t.w.now, first: -1, know: map[*Member]bool{}}
		t.w.Crash(m)
	}
}

// count takes down when each victim was noticed.
func (t *trial) count(members ...*Member) {
	for _, m := range members {
		v := t.victims[m.ID]
		missed := v.first < 0
		for _, by := range t.w.all {
			missed = missed || by.running && !v.know[by]
		}
		if v.first >= 0 {
			t.out.FirstSuspect = append(t.out.FirstSuspect, v.first-v.at)
		}
		if missed {
			t.out.Missed++
		} else {
			t.out.Everywhere = append(t.out.Everywhere, v.last-v.at)
		}
	}
}

// agree runs until all views are equal, for a limited time, and takes down how long that took.
func (t *trial) agree(within time.Duration) {
	from := t.w.now
	for t.w.now-from < within {
		t.w.Run(50 * time.Millisecond)
		if t.w.Agreed() {
			t.out.Agreed = append(t.out.Agreed, t.w.now-from)
			return
		}
	}
	t.out.Apart++
}

// pick chooses count members at random and marks them as faulty.
func (t *trial) pick(count int) []*Member {
	chosen := make([]*Member, count)
	for i, index := range t.rng.Perm(len(t.w.all))[:count] {
		chosen[i] = t.w.all[index]
		t.faulty[chosen[i].ID] = true
	}
	return chosen
}

func (t *trial) done() Outcome {
	t.out.Trouble.add(t.metered())
	if t.w.log != nil {
		for _, r := range t.w.log.records {
			if r.Kind == swim.TransitionFailed && r.Verdict == Applied && !t.faulty[r.Subject] && t.victims[r.Subject] == nil {
				t.out.LogVerdicts++
			}
		}
	}
	return t.out
}
