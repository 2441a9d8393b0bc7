package projections_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/events"
	"rollcall/projections"
)

// told is a log with what the fold made of each event, and when, by a clock that is never set back.
type told struct {
	node  string
	step  projections.Step
	clock time.Time
}

// between adds up what befell a node from one instant to another, event by event.
func between(all []told, node string, from, to time.Time, first, last int) (a projections.Account) {
	var state events.State
	began := from
	stand := func(until time.Time) {
		if until.Before(began) {
			return
		}
		millis := uint64(until.UnixMilli() - began.UnixMilli())
		if state != events.Unknown && state != events.StateLeft {
			a.KnownMillis += millis
		}
		if state.Live() {
			a.UpMillis += millis
		}
		began = until
	}
	for i, e := range all[:last] {
		if e.node != node || e.step.Outcome.Result != events.Applied {
			continue
		}
		if i < first {
			state = e.step.Outcome.After
			continue
		}
		stand(e.clock)
		before := state
		state = e.step.Outcome.After
		switch {
		case before == state:
		case e.step.Kind == events.Suspected:
			a.Suspicions++
		case e.step.Kind == events.Failed:
			a.Failures++
			if took, ok := e.step.Detection(); ok {
				projections.AddDelay(&a.Detected, took)
			}
		case e.step.Kind == events.Refuted || e.step.Kind == events.Tagged:
			a.Flaps++
			if before == events.StateSuspect {
				a.FalseSuspicions++
			}
		}
	}
	stand(to)
	return a
}

// Whatever the instants, the difference of two accounts is what befell the node between them, and windows that meet add up;
// restarts from a snapshot change nothing (I9).
func TestI9AccountsOfTwoInstantsDifferByWhatIsBetweenThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		views := projections.New("test")
		clock := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		var all []told
		items := slices.DeleteFunc(logs(t), func(it item) bool { return it.bad != nil })
		type instant struct {
			views *projections.Views
			at    time.Time
			seen  int
		}
		var instants []instant
		looked := true   // so the next event is stored after it
		look := func() { // at the newest event, or at a time before the next
			if rapid.Bool().Draw(t, "later") {
				clock = clock.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "looked at, ms")) * time.Millisecond)
				looked = true
			}
			instants = append(instants, instant{views.Freeze(), clock, len(all)})
		}
		look()
		for _, it := range items {
			rec := it.rec
			rec.Stored = clock.Add(time.Duration(rapid.IntRange(-2000, 5000).Draw(t, "stored, ms")) * time.Millisecond)
			if looked && !rec.Stored.After(clock) {
				rec.Stored = clock.Add(time.Millisecond)
			}
			looked = false
			if rec.Kind == events.Failed && rapid.Bool().Draw(t, "timed") {
				heard := rec.Time.Add(-time.Duration(rapid.IntRange(-5000, 60_000).Draw(t, "heard, ms")) * time.Millisecond)
				rec.Evidence = events.Evidence{LastHeard: &heard}.Raw()
			}
			if rec.Stored.After(clock) {
				clock = rec.Stored
			}
			step, _ := views.Apply(rec)
			all = append(all, told{rec.Node, step, clock})
			if rapid.IntRange(0, 7).Draw(t, "look") == 0 {
				look()
			}
			if rapid.IntRange(0, 15).Draw(t, "restart") == 0 {
				var err error
				if views, err = projections.Decode("test", views.Encode()); err != nil {
					t.Fatal(err)
				}
			}
		}
		look()
		window := func(node string, from, to int) projections.Account {
			a, _ := instants[to].views.Timeline.Account(node, instants[to].at)
			before, _ := instants[from].views.Timeline.Account(node, instants[from].at)
			a.Sub(&before)
			return a
		}
		middle := rapid.IntRange(0, len(instants)-1).Draw(t, "middle")
		from, to := rapid.IntRange(0, middle).Draw(t, "from"), rapid.IntRange(middle, len(instants)-1).Draw(t, "to")
		for _, node := range []string{"n1", "n2", "n3", "n4"} {
			got := window(node, from, to)
			if want := between(all, node, instants[from].at, instants[to].at, instants[from].seen, instants[to].seen); got != want {
				t.Fatalf("%s between instants %d and %d: %+v, want %+v", node, from, to, got, want)
			}
			sum, second := window(node, from, middle), window(node, middle, to)
			if sum.Add(&second); sum != got {
				t.Fatalf("%s: %+v over two windows, %+v over both", node, sum, got)
			}
			if got.UpMillis > got.KnownMillis || got.FalseSuspicions > got.Flaps || got.Detected.Count() > got.Failures {
				t.Fatalf("%s: %+v", node, got)
			}
		}
	})
}

// A clock that is set back stands still, for an event and for whoever asks: nothing is negative.
func TestAccountsNeverGoBack(t *testing.T) {
	views := projections.New("test")
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i, said := range []struct {
		kind   events.Kind
		author string
		stored time.Duration
	}{{events.Joined, "n1", 0}, {events.HealthCheckFailed, "n2", time.Minute}, {events.Left, "n1", time.Second}} {
		views.Apply(events.Recorded{Position: uint64(i + 1), Stored: noon.Add(said.stored), Event: events.Event{
			ID: fmt.Sprint(i), Kind: said.kind, Cluster: "test", Node: "n1", Author: said.author, Incarnation: 1,
		}})
	}
	for _, at := range []time.Time{{}, noon, noon.Add(time.Hour)} {
		if a, ok := views.Timeline.Account("n1", at); !ok || a.KnownMillis != 60_000 || a.UpMillis != 60_000 {
			t.Errorf("as of %v: %+v", at, a)
		}
	}
	if got := views.Timeline.Moment(noon); !got.Equal(noon.Add(time.Minute)) {
		t.Errorf("the moment of noon is %v", got)
	}
	if later := noon.Add(time.Hour); views.Timeline.Moment(later) != later {
		t.Errorf("the moment of %v is another", later)
	}
}

func TestAvailabilityIsOfTheTimeOnTheRoll(t *testing.T) {
	a := projections.Account{KnownMillis: 8000, UpMillis: 6000}
	if share, ok := a.Availability(); share != 0.75 || !ok {
		t.Errorf("%v, %v", share, ok)
	}
	if share, ok := (&projections.Account{}).Availability(); share != 0 || ok {
		t.Errorf("of no time: %v, %v", share, ok)
	}
}

// A percentile is never below the exact one, nor more than a quarter above it.
func TestDelaysKeepPercentilesToAQuarter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		exact := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) int64 {
			return rapid.Int64Range(0, 1<<rapid.IntRange(0, 24).Draw(t, "scale")).Draw(t, "ms")
		}), 1, 60).Draw(t, "delays")
		var d projections.Delays
		sum := int64(0)
		for _, millis := range exact {
			projections.AddDelay(&d, time.Duration(millis)*time.Millisecond)
			sum += millis
		}
		if d.Count() != uint64(len(exact)) || d.Mean().Milliseconds() != sum/int64(len(exact)) {
			t.Fatalf("%d of mean %v", d.Count(), d.Mean())
		}
		slices.Sort(exact)
		for p := 1; p <= 100; p++ {
			got, want := d.Percentile(p).Milliseconds(), exact[(len(exact)*p+99)/100-1]
			if got < want || got > want+want/4 {
				t.Fatalf("%d %% of %d: within %d ms, exactly %d", p, len(exact), got, want)
			}
		}
	})
}

func TestNoDelaysHaveNoPercentiles(t *testing.T) {
	var d projections.Delays
	if d.Percentile(50) != 0 || d.Mean() != 0 || d.Count() != 0 {
		t.Errorf("%+v", d)
	}
	long := projections.Delays{}
	projections.AddDelay(&long, 1000*time.Hour)
	if long.Count() != 1 || long.Percentile(100) < 9*time.Hour {
		t.Errorf("%d, within %v", long.Count(), long.Percentile(100))
	}
}

// I15: a node's account takes the same room however much befalls it.
func TestI15AccountsAreBounded(t *testing.T) {
	size := func(episodes int) int {
		views := projections.New("test")
		position := uint64(0)
		say := func(kind events.Kind, node, author string, incarnation uint64) {
			position++
			views.Apply(events.Recorded{
				Position: position, Stored: time.Unix(int64(position), 0), Event: events.Event{
					ID: "id", Kind: kind, Cluster: "test", Node: node, Author: author, Incarnation: incarnation, Time: time.Unix(1, 0),
					Evidence: json.RawMessage(fmt.Sprintf(`{"last_heard":"1970-01-01T00:%02d:00Z"}`, position%60)),
				},
			})
		}
		say(events.Joined, "n1", "n1", 1)
		say(events.Joined, "n2", "n2", 1)
		for i := range episodes {
			say(events.Suspected, "n2", "n1", uint64(i+1))
			say(events.Failed, "n2", "n1", uint64(i+1))
			say(events.Refuted, "n2", "n2", uint64(i+2))
		}
		if a, _ := views.Timeline.Account("n2", time.Time{}); a.Failures != uint64(episodes) || a.Detected.Count() != a.Failures {
			t.Fatalf("%d episodes: %+v", episodes, a.Counts)
		}
		return len(views.Encode())
	}
	few, many := size(100), size(10_000)
	if many > few+few/10 {
		t.Errorf("%d bytes after 100 episodes, %d after 10,000", few, many)
	}
}
