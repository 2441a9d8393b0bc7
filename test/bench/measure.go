package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"time"
)

// verdictLimit is how long a crash may remain unknown to somebody before the trial counts as not detected. memberlist's own
// longest suspicion among 5,000 is 89 s.
const verdictLimit = 2 * time.Minute

// memoryMany is how much a process with many members may take before Go collects its garbage of its own accord, which is not
// reached: see collect.
const memoryMany = 8 << 30

// collect has Go collect its garbage between the phases, where there are many members: in them it does not. A thousand machines
// do not collect at the same instant; on two cores a collection of gigabytes makes all members late for a second.
func collect(members int) {
	if members >= manyMembers {
		runtime.GC()
	}
}

// result of one system.
type result struct {
	System      string      `json:"system"`
	Members     int         `json:"members"`
	Go          string      `json:"go"`
	Cores       int         `json:"cores"`
	Load        [2]string   `json:"load"`     // of the machine, before and after
	Isolated    bool        `json:"isolated"` // the traffic counted is this cluster's alone
	Urgent      bool        `json:"urgent"`   // at a raised priority
	Formed      float64     `json:"formed_seconds"`
	FormedCPU   float64     `json:"formed_cpu_seconds"`
	Handed      bool        `json:"handed"` // members learnt of each other as from the log
	Steady      cost        `json:"steady"`
	Suspicions  int         `json:"suspicions_of_healthy"` // from the steady state to the end; a member's word each
	Failures    int         `json:"failures_of_healthy"`   // likewise
	HeldWrong   [2]int      `json:"wrong_in_steady_state"` // the same two, while nobody crashed
	Missed      uint64      `json:"sightings_missed"`      // not zero: the figures above are too small
	Crashes     []crashRows `json:"crashes"`
	PeakMemory  uint64      `json:"peak_memory_bytes"`
	MeasuredFor float64     `json:"measured_for_seconds"`
}

// crashRows are the times of one kind of crash, in seconds since it.
type crashRows struct {
	Kind       string    `json:"kind"`
	Told       quantiles `json:"told"`       // the transport of the first member says that the process is gone
	Suspected  quantiles `json:"suspected"`  // the first accusation
	AfterTold  quantiles `json:"after_told"` // from being told to it
	Failed     quantiles `json:"failed"`     // the first verdict
	Everywhere quantiles `json:"everywhere"` // held failed by every other member
	Undetected int       `json:"undetected"` // trials in which somebody never came to hold it failed
	Late       quantiles `json:"late"`       // longest that the process stood still in a trial
}

// crashKinds, and how each is done.
var crashKinds = []struct {
	kind string
	do   func(context.Context, cluster, int) error
}{
	{"process killed, host alive", func(_ context.Context, c cluster, i int) error { return c.kill(i) }},
	{"silent (stopped, power, cable)", func(ctx context.Context, c cluster, i int) error { return c.silence(ctx, i) }},
}

// measure runs one system in this process.
func measure(ctx context.Context, o options) (result, error) {
	r := result{Handed: o.handed(), System: o.inside, Members: o.n, Go: runtime.Version(), Cores: runtime.NumCPU()}
	r.Load[0] = load()
	began := time.Now()
	isolated, err := ownNetwork()
	if err != nil {
		return r, err
	}
	r.Isolated = isolated
	r.Urgent = urgent()
	if o.n >= manyMembers {
		debug.SetGCPercent(-1)
		debug.SetMemoryLimit(memoryMany)
	}
	w := &watch{}
	still, stop := context.WithCancel(ctx)
	defer stop()
	go w.late.watch(still)
	c, err := newCluster(o, w)
	if err != nil {
		return r, err
	}
	defer c.close()
	if err := r.form(ctx, o, c); err != nil {
		return r, err
	}
	suspicions, failures, missed := w.wrongs()
	if err := r.hold(ctx, o, c, w); err != nil {
		return r, err
	}
	s, f, _ := w.wrongs()
	r.HeldWrong = [2]int{s - suspicions, f - failures}
	random := rand.New(rand.NewPCG(o.seed, 0))
	for _, k := range crashKinds {
		rows, err := crash(ctx, o, c, w, random, k.kind, k.do)
		if err != nil {
			return r, fmt.Errorf("%s: %w", k.kind, err)
		}
		r.Crashes = append(r.Crashes, rows)
	}
	s, f, m := w.wrongs()
	r.Suspicions, r.Failures, r.Missed = s-suspicions, f-failures, m-missed
	r.Load[1] = load()
	r.MeasuredFor = time.Since(began).Seconds()
	r.PeakMemory, err = peakMemory()
	return r, err
}

func (r *result) form(ctx context.Context, o options, c cluster) error {
	before, err := read()
	if err != nil {
		return err
	}
	if err := form(ctx, o, c); err != nil {
		return err
	}
	after, err := read()
	if err != nil {
		return err
	}
	r.Formed, r.FormedCPU = after.at.Sub(before.at).Seconds(), (after.cpu - before.cpu).Seconds()
	progress("%s: %d members formed in %.1f s, %.1f s of CPU", o.inside, o.n, r.Formed, r.FormedCPU)
	collect(o.n)
	return rest(ctx, o.settle)
}

// hold measures the steady state.
func (r *result) hold(ctx context.Context, o options, c cluster, w *watch) error {
	if o.profile != "" {
		stop, err := profile(o.profile)
		if err != nil {
			return err
		}
		defer stop()
	}
	w.late.take()
	before, err := read()
	if err != nil {
		return err
	}
	if err := rest(ctx, o.hold); err != nil {
		return err
	}
	after, err := read()
	if err != nil {
		return err
	}
	r.Steady = costBetween(before, after, o.n)
	r.Steady.Late = w.late.take().Seconds()
	r.Steady.weigh(c, o.n)
	progress("%s: held for %v: %.0f B/s, %.1f packets/s, %.2f CPU-ms/s a member",
		o.inside, o.hold, r.Steady.Bytes, r.Steady.Datagrams, r.Steady.CPU)
	return nil
}

func profile(file string) (stop func(), err error) {
	out, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = out.Close()
	}, nil
}

// crash loses members chosen at random, at instants that know nothing of the protocol's period, and brings each back.
func crash(ctx context.Context, o options, c cluster, w *watch, random *rand.Rand, kind string,
	do func(context.Context, cluster, int) error,
) (crashRows, error) {
	rows := crashRows{Kind: kind}
	var told, suspected, afterTold, failed, everywhere, late []time.Duration
	for trial := range o.trials {
		collect(o.n)
		if err := rest(ctx, o.settle+time.Duration(random.Int64N(int64(2*time.Second)))); err != nil {
			return rows, err
		}
		victim := random.IntN(o.n)
		got, err := loseOne(ctx, o, c, w, victim, do)
		if err != nil {
			return rows, fmt.Errorf("trial %d, member %d: %w", trial, victim, err)
		}
		late = append(late, got.late)
		told, suspected = appendKnown(told, got.told), appendKnown(suspected, got.suspected)
		failed, everywhere = appendKnown(failed, got.failed), appendKnown(everywhere, got.everywhere)
		if got.told >= 0 && got.suspected >= got.told {
			afterTold = append(afterTold, got.suspected-got.told)
		}
		if got.everywhere < 0 {
			rows.Undetected++
		}
		progress("%s: %s %d/%d: whole again; told after %v, stood still for %v", o.inside, kind, trial+1, o.trials,
			short(got.told), short(got.late))
	}
	rows.Told, rows.Suspected, rows.AfterTold = quantilesOf(told), quantilesOf(suspected), quantilesOf(afterTold)
	rows.Failed, rows.Everywhere, rows.Late = quantilesOf(failed), quantilesOf(everywhere), quantilesOf(late)
	return rows, nil
}

func appendKnown(all []time.Duration, d time.Duration) []time.Duration {
	if d < 0 {
		return all
	}
	return append(all, d)
}

// loseOne crashes one member, waits for the verdicts, and brings it back.
func loseOne(ctx context.Context, o options, c cluster, w *watch, victim int,
	do func(context.Context, cluster, int) error,
) (outcome, error) {
	w.late.take()
	e := w.begin(victim, o.n-1)
	defer w.end()
	if err := do(ctx, c, victim); err != nil {
		return outcome{}, err
	}
	limit := time.NewTimer(verdictLimit)
	defer limit.Stop()
	select {
	case <-e.done:
	case <-limit.C:
	case <-ctx.Done():
		return outcome{}, context.Cause(ctx)
	}
	got := w.outcome(e)
	progress("%s: member %d: suspected %v, failed %v, everywhere %v (%d of %d)", o.inside, victim,
		short(got.suspected), short(got.failed), short(got.everywhere), got.holders, o.n-1)
	if err := c.kill(victim); err != nil {
		return got, err
	}
	if err := c.start(ctx, victim); err != nil {
		return got, fmt.Errorf("restart: %w", err)
	}
	return got, whole(ctx, o, c)
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// short is a duration for people; what did not happen is a dash.
func short(d time.Duration) string {
	if d < 0 {
		return "-"
	}
	return d.Round(time.Millisecond).String()
}
