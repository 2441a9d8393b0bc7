package swimsim_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"rollcall/swim"
	"rollcall/swim/swimsim"
)

// Each test shows one claim of the papers, named after paper, section and claim: SWIM is Das, Gupta, Motivala (2002),
// Lifeguard is Dadgar, Phillips, Currey (2018). Numbers are seeds, so a failure is no bad luck.

const period = swim.ProtocolPeriodDefault

// cluster is a world of n members that know each other, settled.
func cluster(cfg swimsim.Config, n int) *swimsim.World {
	w := swimsim.New(cfg)
	for i := range n {
		w.Start(swimsim.Name(i))
	}
	w.Seed()
	w.Run(20 * time.Second)
	return w
}

func classic(seed uint64) swimsim.Config {
	return swimsim.Config{Seed: seed, Node: swim.Config{Strategy: swim.RoundRobin}}
}

// firstProbes returns how long, from each of many instants on, each member waited for the next ping from anybody. Until
// that ping, the rest of the world would have done the same if the member had crashed at that instant.
func firstProbes(cfg swimsim.Config, n int) []time.Duration {
	const samples, apart = 60, 1370 * time.Millisecond
	pings := map[swim.ID][]time.Duration{}
	cfg.Tap = func(d swimsim.Datagram) {
		if d.Ping() {
			pings[d.To] = append(pings[d.To], d.At)
		}
	}
	w := cluster(cfg, n)
	from := w.Now()
	w.Run(samples*apart + 20*time.Second)
	var waits []time.Duration
	for _, m := range w.Members() {
		at := pings[m.ID]
		for i := range samples {
			crash := from + time.Duration(i)*apart
			if next, _ := slices.BinarySearch(at, crash); next < len(at) {
				waits = append(waits, at[next]-crash)
			}
		}
	}
	return waits
}

func mean(waits []time.Duration, of func(time.Duration) float64) float64 {
	sum := 0.0
	for _, d := range waits {
		sum += of(d)
	}
	return sum / float64(len(waits))
}

func TestSWIM_3_1_FirstDetectionTakesE_over_EMinus1Periods(t *testing.T) {
	waits := firstProbes(classic(1), 64)
	periods := mean(waits, func(d time.Duration) float64 { return math.Ceil(float64(d) / float64(period)) })
	if want := math.E / (math.E - 1); math.Abs(periods-want) > 0.1 {
		t.Errorf("%d instants took %.2f periods to the first probe, want %.2f", len(waits), periods, want)
	}
}

// Detection rule 2: with rings the target spaces its observers, so that the first probe comes within about one period.
func TestRings_FirstProbeWithinOnePeriod(t *testing.T) {
	waits := firstProbes(swimsim.Config{Seed: 1}, 64)
	average := mean(waits, time.Duration.Seconds) / period.Seconds()
	if worst := swimsim.Quantile(waits, 0.99); average > 0.65 || worst > period*5/4 {
		t.Errorf("first probe after %.2f periods in the mean and %v at p99, want about 0.5 and one period", average, worst)
	}
}

func TestSWIM_5_MessageLoadOfAMemberIsFlatInTheSizeOfTheGroup(t *testing.T) {
	for _, strategy := range []swim.Strategy{swim.RingObservers, swim.RoundRobin} {
		for _, n := range []int{8, 32, 128} {
			w := cluster(swimsim.Config{Seed: 3, Node: swim.Config{Strategy: strategy}}, n)
			datagrams, size := w.Sent, w.Bytes
			w.Run(20 * time.Second)
			rate := float64(w.Sent-datagrams) / 20 / float64(n)
			bytes := float64(w.Bytes-size) / 20 / float64(n)
			if rate < 1.7 || rate > 2.2 || bytes > 60 {
				t.Errorf("strategy %d, %d members: %.2f datagrams and %.0f bytes a member and second, want 2 and 60 at most",
					strategy, n, rate, bytes)
			}
		}
	}
}

func TestSWIM_4_3_EveryMemberIsProbedByEveryOtherWithin2NMinus1Periods(t *testing.T) {
	const n = 10
	type pair struct{ from, to swim.ID }
	last, worst := map[pair]time.Duration{}, time.Duration(0)
	cfg := classic(1)
	cfg.Tap = func(d swimsim.Datagram) {
		if p := (pair{d.From.ID, d.To}); d.Ping() {
			if before, ok := last[p]; ok {
				worst = max(worst, d.At-before)
			}
			last[p] = d.At
		}
	}
	w := cluster(cfg, n)
	w.Run(300 * time.Second)
	if len(last) != n*(n-1) {
		t.Errorf("%d of %d pairs probed", len(last), n*(n-1))
	}
	if bound := (2*n - 1) * period; worst > bound || worst < n*period {
		t.Errorf("longest wait between two probes of one member by another is %v, want at most %v, and sometimes more than %v",
			worst, bound, n*period)
	}
}

func TestSWIM_4_1_NewsReachEverybodyInLogarithmicallyManyRounds(t *testing.T) {
	for _, n := range []int{16, 64, 192} {
		know := 0
		var last time.Duration
		cfg := swimsim.Config{Seed: 5, Watch: func(o swimsim.Observation) {
			if o.Kind == swim.TransitionLeft && !o.Own {
				know++
				last = o.At
			}
		}}
		w := cluster(cfg, n)
		from := w.Now()
		w.Leave(w.Member("n3"))
		w.Run(30 * time.Second)
		rounds := float64(last-from) / float64(swim.GossipIntervalDefault)
		if bound := math.Log2(float64(n)); know != n-1 || rounds > bound {
			t.Errorf("%d of %d know after %.1f rounds, want all after %.1f at most", know, n-1, rounds, bound)
		}
	}
}

// verdicts counts how often a member that is well is failed, under heavy loss.
func verdicts(node swim.Config, seed uint64, loss float64) int {
	count := 0
	w := cluster(swimsim.Config{Seed: seed, Node: node, Watch: func(o swimsim.Observation) {
		if o.Kind == swim.TransitionFailed {
			count++
		}
	}}, 24)
	w.SetNetwork(swimsim.Network{Loss: loss})
	w.Run(time.Minute)
	return count
}

func TestSWIM_4_2_SuspicionSparesTheWell(t *testing.T) {
	least := swim.AckTimeoutMinDefault
	with, without := 0, 0
	for seed := range uint64(3) {
		with += verdicts(swim.Config{Strategy: swim.RoundRobin}, seed, 0.45)
		without += verdicts(swim.Config{Strategy: swim.RoundRobin, SuspicionMin: least, SuspicionMax: least}, seed, 0.45)
	}
	if without == 0 || with*10 > without {
		t.Errorf("%d verdicts with suspicion, %d with next to none: want a tenth at most", with, without)
	}
}

func TestLifeguard_4_1_AStarvedMemberDoubtsItselfAndRecovers(t *testing.T) {
	w := cluster(swimsim.Config{Seed: 7}, 16)
	m := w.Member("n5")
	w.Cut(func(_, to *swimsim.Member) bool { return to == m })
	w.Run(10 * time.Second)
	if m.Node.Health() == 0 {
		t.Error("nothing reaches the member, and it holds itself well")
	}
	w.HealAll()
	w.Run(40 * time.Second)
	if score := m.Node.Health(); score != 0 {
		t.Errorf("health is %d long after the fault, want 0", score)
	}
}

// A suspicion that starts long and shrinks with every accuser (section 4.2), against one that is short from the start.
func TestLifeguard_4_2_FewerFalsePositivesThanAFixedSuspicion(t *testing.T) {
	shrinking, fixed := 0, 0
	for seed := range uint64(3) {
		shrinking += verdicts(swim.Config{SuspicionMin: period / 2}, seed, 0.65)
		fixed += verdicts(swim.Config{SuspicionMin: period / 2, SuspicionMax: period / 2}, seed, 0.65)
	}
	if fixed == 0 || shrinking*2 > fixed {
		t.Errorf("%d verdicts with a shrinking suspicion, %d with a fixed one: want half at most", shrinking, fixed)
	}
}

// Local health, the shrinking suspicion and the buddy system together, against SWIM with neither of the first two.
func TestLifeguard_5_FewerFalsePositivesThanPlainSWIM(t *testing.T) {
	lifeguard := swim.Config{Strategy: swim.RoundRobin, SuspicionMin: period / 2}
	plain := swim.Config{Strategy: swim.RoundRobin, SuspicionMin: period / 2, SuspicionMax: period / 2, NoLocalHealth: true}
	with, without := 0, 0
	for seed := range uint64(3) {
		with += verdicts(lifeguard, seed, 0.65)
		without += verdicts(plain, seed, 0.65)
	}
	t.Logf("%d verdicts with Lifeguard, %d without", with, without)
	if without == 0 || with*4 > without {
		t.Errorf("%d verdicts about the well with Lifeguard, %d without: want a quarter at most", with, without)
	}
}

// What local health alone is worth here: the rules about silent relays and about one's own silence do most of its work.
func TestLifeguard_4_1_LocalHealthSparesTheWell(t *testing.T) {
	accusations := func(off bool) (count int) {
		for seed := range uint64(4) {
			w := cluster(swimsim.Config{Seed: seed, Node: swim.Config{NoLocalHealth: off}, Watch: func(o swimsim.Observation) {
				if o.Kind == swim.TransitionSuspected && o.Own {
					count++
				}
			}}, 24)
			w.SetNetwork(swimsim.Network{Loss: 0.5})
			w.Run(time.Minute)
		}
		return count
	}
	with, without := accusations(false), accusations(true)
	t.Logf("%d accusations with local health, %d without", with, without)
	if with >= without {
		t.Errorf("%d accusations of the well with local health, %d without", with, without)
	}
}
