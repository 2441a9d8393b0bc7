// Package story tells the life of a cluster that never was, as its members would have told it: legal events in one order,
// with evidence of the size that real evidence has, the same for the same seed.
//
//	s := story.New(story.Config{Cluster: "default", Nodes: 10_000, Seed: 1})
//	for range 1_000_000 {
//		ev := s.Next()
//	}
//
// Everybody joins first. Then members are suspected and accused, and refute it or are failed; they leave and come back,
// change their tags and stand out to the phi detector. A few hundred such episodes go on at a time. Every event is one that
// the fold applies or keeps as evidence; none is refused.
//
// It is for benchmarks and tests: its clock is its own, and moves ten milliseconds an event.
package story

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"rollcall/events"
)

// openMax is how many episodes go on at a time; with few nodes it is a quarter of them.
const openMax = 300

// Config says what to tell. Nodes must be at least 8, so that there are enough to accuse.
type Config struct {
	Cluster string
	Nodes   int
	Seed    uint64
	Start   time.Time // of the first event; zero: 2026-03-01T12:00:00Z
}

// Story tells one event after the other. It is not safe for concurrent use.
type Story struct {
	cfg     Config
	rnd     *rand.Rand
	now     time.Time
	nodes   []node
	joined  int
	open    []*episode
	openMax int
}

type node struct {
	id          string
	incarnation uint64
	busy        bool // in an episode
	tags        map[string]string
}

// episode is what will be said about one node; each step makes the next event.
type episode struct {
	node     int
	accusers []int
	since    time.Time
	steps    []func(*episode) events.Event
}

// New begins a story.
func New(cfg Config) *Story {
	if cfg.Start.IsZero() {
		cfg.Start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	}
	s := &Story{
		cfg: cfg, rnd: rand.New(rand.NewPCG(cfg.Seed, 0)), now: cfg.Start,
		nodes: make([]node, cfg.Nodes), openMax: max(1, min(openMax, cfg.Nodes/4)),
	}
	for i := range s.nodes {
		s.nodes[i].id = ID(i)
		s.nodes[i].tags = map[string]string{
			"role": roles[i%len(roles)], "zone": zones[i/7%len(zones)], "version": "2.4." + fmt.Sprint(i%5), "rack": fmt.Sprintf("r%03d", i%200),
		}
	}
	return s
}

var (
	roles = []string{"web", "worker", "cache", "queue", "director", "batch", "api", "search", "mail", "cron"}
	zones = []string{"eu-1a", "eu-1b", "eu-1c"}
)

// ID is the name of node i, from 0.
func ID(i int) string { return fmt.Sprintf("node-%05d", i) }

// Next tells the next event.
func (s *Story) Next() events.Event {
	s.now = s.now.Add(10 * time.Millisecond)
	if s.joined < len(s.nodes) {
		s.joined++
		return s.join(s.joined - 1)
	}
	for len(s.open) < s.openMax {
		s.open = append(s.open, s.begin())
	}
	i := s.rnd.IntN(len(s.open))
	e := s.open[i]
	ev := e.steps[0](e)
	if e.steps = e.steps[1:]; len(e.steps) == 0 {
		s.nodes[e.node].busy = false
		s.open[i] = s.open[len(s.open)-1]
		s.open = s.open[:len(s.open)-1]
	}
	return ev
}

// begin chooses a node and what becomes of it.
func (s *Story) begin() *episode {
	e := &episode{node: s.idle()}
	s.nodes[e.node].busy = true
	suspicion := []func(*episode) events.Event{s.suspect, s.accuse, s.accuse}
	switch dice := s.rnd.IntN(100); {
	case dice < 45:
		e.steps = append(suspicion, s.refute)
	case dice < 75:
		e.steps = append(suspicion, s.fail, s.rejoin)
	case dice < 83:
		e.steps = append(e.steps, s.leave, s.rejoin)
	case dice < 91:
		e.steps = append(e.steps, s.tag)
	default:
		e.steps = append(e.steps, s.health)
	}
	return e
}

// idle is somebody alive about whom nothing is being said.
func (s *Story) idle() int {
	for {
		if i := s.rnd.IntN(len(s.nodes)); !s.nodes[i].busy {
			return i
		}
	}
}

// event is one of author about the node i.
func (s *Story) event(kind events.Kind, i int, author string, evidence events.Evidence) events.Event {
	return events.Event{
		ID: s.uuid(), Kind: kind, Cluster: s.cfg.Cluster, Node: s.nodes[i].id, Author: author, Time: s.now,
		Incarnation: s.nodes[i].incarnation, Evidence: evidence.Raw(),
	}
}

// own is one of the node about itself, at its next incarnation.
func (s *Story) own(kind events.Kind, i int, reason string) events.Event {
	n := &s.nodes[i]
	n.incarnation++
	ev := s.event(kind, i, n.id, events.Evidence{Reason: reason, Previous: n.incarnation - 1})
	ev.Address = fmt.Sprintf("10.%d.%d.%d:7946", i>>16&255, i>>8&255, i&255)
	ev.Tags = n.tags
	return ev
}

func (s *Story) join(i int) events.Event { return s.own(events.Joined, i, "start") }

func (s *Story) rejoin(e *episode) events.Event { return s.own(events.Joined, e.node, "start") }

func (s *Story) refute(e *episode) events.Event {
	return s.own(events.Refuted, e.node, "suspected by "+s.nodes[e.accusers[0]].id)
}

func (s *Story) leave(e *episode) events.Event {
	return s.event(events.Left, e.node, s.nodes[e.node].id, events.Evidence{Reason: "shutdown"})
}

func (s *Story) tag(e *episode) events.Event {
	n := &s.nodes[e.node]
	tags := make(map[string]string, len(n.tags))
	for k, v := range n.tags {
		tags[k] = v
	}
	tags["load"] = fmt.Sprint(s.rnd.IntN(100))
	n.tags = tags
	return s.own(events.Tagged, e.node, "tags set")
}

func (s *Story) health(e *episode) events.Event {
	return s.event(events.HealthCheckFailed, e.node, s.nodes[s.idle()].id, events.Evidence{
		Reason: "phi over threshold", Phi: 8 + s.rnd.Float64(), LastHeard: s.ago(4), RTTMS: s.millis(), LocalHealth: s.rnd.IntN(3),
	})
}

func (s *Story) suspect(e *episode) events.Event {
	e.since = s.now
	return s.accusation(events.Suspected, e)
}

func (s *Story) accuse(e *episode) events.Event { return s.accusation(events.Accused, e) }

func (s *Story) accusation(kind events.Kind, e *episode) events.Event {
	by := s.observer(e)
	e.accusers = append(e.accusers, by)
	return s.event(kind, e.node, s.nodes[by].id, events.Evidence{
		Reason: "probe timeout", Probes: 2, TimeoutMS: 50 + s.millis(), RTTMS: s.millis(), LastHeard: s.ago(2), LocalHealth: s.rnd.IntN(3),
		Relays: []events.Relay{
			{ID: s.nodes[s.idle()].id, Answer: "nack"}, {ID: s.nodes[s.idle()].id, Answer: "nack"}, {ID: s.nodes[s.idle()].id, Answer: "silent"},
		},
	})
}

func (s *Story) fail(e *episode) events.Event {
	evidence := events.Evidence{Reason: "suspicion timeout", Since: &e.since}
	for _, by := range e.accusers {
		at := s.now
		evidence.Accusers = append(evidence.Accusers, events.Accuser{ID: s.nodes[by].id, Time: &at})
	}
	return s.event(events.Failed, e.node, s.nodes[e.accusers[0]].id, evidence)
}

// observersMax is how many members watch one: they are its accusers.
const observersMax = 6

// observer is one of those who watch the node, who has not accused it yet and of whom nothing is said now; anybody else where
// there is none.
func (s *Story) observer(e *episode) int {
	for try := s.rnd.IntN(observersMax); try < 2*observersMax; try++ {
		step := try%observersMax + 1
		by := (e.node + step*step*step) % len(s.nodes)
		if by != e.node && !s.nodes[by].busy && !slices.Contains(e.accusers, by) {
			return by
		}
	}
	by := s.idle()
	for slices.Contains(e.accusers, by) {
		by = s.idle()
	}
	return by
}

func (s *Story) millis() float64 { return float64(s.rnd.IntN(100_000)) / 1000 }

// ago is up to so many seconds before now.
func (s *Story) ago(seconds int) *time.Time {
	t := s.now.Add(-time.Duration(s.rnd.IntN(seconds * int(time.Second))))
	return &t
}

// uuid is a UUIDv7 of the story's own clock and dice.
func (s *Story) uuid() string {
	var id uuid.UUID
	millis := uint64(s.now.UnixMilli())
	for i := range 6 {
		id[i] = byte(millis >> (40 - 8*i))
	}
	hi, lo := s.rnd.Uint64(), s.rnd.Uint64()
	for i := range 2 {
		id[6+i] = byte(hi >> (8 * i))
	}
	for i := range 8 {
		id[8+i] = byte(lo >> (8 * i))
	}
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id.String()
}
