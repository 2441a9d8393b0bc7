package swimsim

import (
	"fmt"
	"sync"
	"time"
)

// Scenario is one measurement of docs/detection.md.
type Scenario struct {
	Name    string
	About   string                // one line
	Members int                   // default
	Seeds   int                   // default
	Unit    string                // of Setup.Level; empty: it has none
	Levels  []float64             // that the tables show; nil: none
	Shows   Columns               // which figures it gives
	Run     func(s Setup) Outcome // one seed
}

// Columns says which figures of an Outcome a scenario gives; the others stay zero.
type Columns uint8

// The columns. What is said of healthy members, and the traffic, every scenario gives.
const (
	Detection Columns = 1 << iota // FirstSuspect, Everywhere, Missed
	Agreement                     // Agreed, Apart
	Stalls                        // Stalled
)

// Scenarios lists all measurements, in the order of the document.
func Scenarios() []Scenario {
	return []Scenario{
		{"crash", "one member crashes, five times a run", 128, 40, "", nil, Detection, runCrash},
		{"loss", "datagrams are lost for 60 s, then one member crashes", 128, 10, "% of datagrams", []float64{0, 2, 5, 10, 20, 30}, Detection, runLoss},
		{"blocked", "16 members send and receive nothing, again and again for 60 s, with 100 ms between", 128, 3, "s blocked",
			[]float64{0.1, 0.5, 1, 2, 2.5, 4, 8}, Agreement | Stalls, runBlocked},
		{"frozen", "the same, and nothing runs in them either", 128, 3, "s frozen", []float64{0.1, 0.5, 1, 2, 2.5, 4, 8}, Agreement | Stalls, runFrozen},
		{"shared", "all members stand still together, as those of one host or process do, five times", 128, 5, "s frozen",
			[]float64{0.1, 0.3, 0.6, 1, 3}, Agreement, runShared},
		{"oneway", "one member hears nothing (1) or is not heard (2) for 30 s", 128, 10, "direction", []float64{1, 2}, Agreement | Stalls, runOneWay},
		{"flipflop", "one member hears nothing for half of every 6 s, for 120 s", 128, 5, "", nil, Agreement | Stalls, runFlipFlop},
		{"partition", "half of the members and the other half, apart for 20 s", 128, 10, "", nil, Agreement, runPartition},
		{"mass", "three quarters crash at once", 128, 10, "", nil, Detection, runMass},
		{"joins", "half as many again join within 2 s while 5 % of datagrams are lost", 128, 10, "", nil, Agreement, runJoins},
	}
}

// Measure runs a scenario for each of some seeds and adds up what came of it. With several workers the outcome is the same:
// runs are added in the order of their seeds.
func Measure(sc Scenario, s Setup, first uint64, seeds, workers int) Outcome {
	outcomes := make([]Outcome, seeds)
	next := make(chan int)
	var group sync.WaitGroup
	for range max(workers, 1) {
		group.Go(func() {
			for i := range next {
				run := s
				run.Seed = first + uint64(i)
				outcomes[i] = sc.Run(run)
			}
		})
	}
	for i := range seeds {
		next <- i
	}
	close(next)
	group.Wait()
	var sum Outcome
	for _, o := range outcomes {
		sum.Add(o)
	}
	return sum
}

// detectWithin is how long a crash is watched; the classic strategy takes longer.
func detectWithin(s Setup) time.Duration {
	if StrategyName(s.Strategy) == "classic" {
		return 40 * time.Second
	}
	return 15 * time.Second
}

func runCrash(s Setup) Outcome {
	t := newTrial(s, Network{})
	t.quiet(20 * time.Second)
	for range min(5, s.Members/8+1) {
		m := t.w.anyRunning(nil)
		t.crash(m)
		t.w.Run(detectWithin(s) + time.Duration(t.rng.Int64N(int64(time.Second))))
		t.count(m)
	}
	return t.done()
}

func runLoss(s Setup) Outcome {
	t := newTrial(s, Network{})
	t.w.SetNetwork(Network{Loss: s.Level / 100})
	t.quiet(60 * time.Second)
	m := t.w.anyRunning(nil)
	t.crash(m)
	t.w.Run(detectWithin(s))
	t.count(m)
	return t.done()
}

func runBlocked(s Setup) Outcome { return stall(s, (*World).Block) }

func runFrozen(s Setup) Outcome { return stall(s, (*World).Freeze) }

// stalledShare of the members stands still: 16 of 128.
const stalledShare = 8

func stall(s Setup, how func(*World, *Member)) Outcome {
	t := newTrial(s, Network{})
	t.quiet(10 * time.Second)
	for _, m := range t.pick(max(1, s.Members/stalledShare)) {
		until := t.w.now + time.Minute
		var again func()
		again = func() {
			if t.w.now >= until {
				return
			}
			how(t.w, m)
			t.w.At(time.Duration(s.Level*float64(time.Second)), func() {
				t.w.Thaw(m)
				t.w.At(100*time.Millisecond, again)
			})
		}
		again()
	}
	t.w.Run(time.Minute + time.Duration(s.Level*float64(time.Second)))
	t.agree(time.Minute)
	return t.done()
}

// runShared counts the traffic of the stall and of the four seconds after it.
func runShared(s Setup) Outcome {
	t := newTrial(s, Network{})
	t.quiet(10 * time.Second)
	for range 5 {
		t.w.Run(10 * time.Second)
		t.meter()
		t.w.freezeAll(time.Duration(s.Level * float64(time.Second)))
		t.w.Run(sharedAfter)
		t.out.Trouble.add(t.metered())
	}
	t.meter()
	t.agree(time.Minute)
	return t.done()
}

// sharedAfter is how long the traffic after a shared stall is counted.
const sharedAfter = 4 * time.Second

// freezeAll makes everybody stand still for d.
func (w *World) freezeAll(d time.Duration) {
	for _, m := range w.all {
		w.Freeze(m)
	}
	w.Run(d)
	for _, m := range w.all {
		w.Thaw(m)
	}
}

func runOneWay(s Setup) Outcome {
	t := newTrial(s, Network{})
	t.quiet(10 * time.Second)
	m := t.pick(1)[0]
	c := t.w.Cut(func(from, to *Member) bool { return s.Level == 1 && to == m || s.Level == 2 && from == m })
	t.w.Run(30 * time.Second)
	t.w.Heal(c)
	t.agree(time.Minute)
	return t.done()
}

func runFlipFlop(s Setup) Outcome {
	t := newTrial(s, Network{})
	t.quiet(10 * time.Second)
	m := t.pick(1)[0]
	for range 20 {
		c := t.w.Cut(func(_, to *Member) bool { return to == m })
		t.w.Run(3 * time.Second)
		t.w.Heal(c)
		t.w.Run(3 * time.Second)
	}
	t.agree(2 * time.Minute) // a return may be held back for one
	return t.done()
}

// runPartition counts everybody as faulty: each half is right to fail the other. What it measures is the way back.
func runPartition(s Setup) Outcome {
	t := newTrial(s, Network{})
	t.quiet(10 * time.Second)
	t.pick(s.Members)
	half := s.Members / 2
	c := t.w.Cut(func(from, to *Member) bool { return (from.index < half) != (to.index < half) })
	t.w.Run(20 * time.Second)
	t.w.Heal(c)
	t.agree(2 * time.Minute)
	return t.done()
}

func runMass(s Setup) Outcome {
	t := newTrial(s, Network{})
	t.quiet(10 * time.Second)
	var members []*Member
	for _, index := range t.rng.Perm(s.Members)[:s.Members*3/4] {
		members = append(members, t.w.all[index])
	}
	t.crash(members...)
	t.w.Run(2 * time.Minute)
	t.count(members...)
	return t.done()
}

func runJoins(s Setup) Outcome {
	t := newTrial(s, Network{})
	t.quiet(10 * time.Second)
	t.w.SetNetwork(Network{Loss: 0.05})
	for i := range s.Members / 2 {
		t.w.At(time.Duration(t.rng.Int64N(int64(2*time.Second))), func() {
			t.w.Start(Name(s.Members + i)).Join(t.w.all[t.rng.IntN(s.Members)])
		})
	}
	t.w.Run(2 * time.Second)
	t.agree(time.Minute)
	t.w.Run(20 * time.Second)
	return t.done()
}

// Command is what makes a row again.
func (sc Scenario) Command(s Setup, first uint64, seeds int) string {
	level := ""
	if sc.Unit != "" {
		level = fmt.Sprintf(" -level %g", s.Level)
	}
	return fmt.Sprintf("simulate %s -n %d -strategy %s -log=%t%s -first %d -seeds %d",
		sc.Name, s.Members, StrategyName(s.Strategy), s.Log, level, first, seeds)
}
