package recorder

import (
	"time"

	"rollcall/events"
	"rollcall/swim"
)

// Bounds of the lists in one event's evidence, so that it stays below events.EvidenceMax with ids of any length. A quorum
// and a round of relays are far smaller.
const (
	accusersMax = 64
	relaysMax   = 32
)

// draft returns the event that t says, as far as its author can know, and whether it is the author's to say.
func draft(cluster, self string, t swim.Transition) (events.Event, bool) {
	kind, known := kindOf(t.Kind)
	if !t.Own || !known {
		return events.Event{}, false
	}
	ev := events.Event{
		ID: events.NewID(), Kind: kind, Cluster: cluster, Node: string(t.Subject), Author: self,
		Time: t.At.UTC(), Incarnation: t.Incarnation, Evidence: evidence(t.Evidence).Raw(),
	}
	if kind.ByOwner() && kind != events.Left {
		if t.Addr.IsValid() {
			ev.Address = t.Addr.String()
		}
		if len(t.Tags) > 0 {
			ev.Tags = make(map[string]string, len(t.Tags))
			for _, tag := range t.Tags {
				ev.Tags[tag.Key] = tag.Value
			}
		}
	}
	return ev, true
}

func kindOf(k swim.TransitionKind) (events.Kind, bool) {
	switch k {
	case swim.TransitionJoined:
		return events.Joined, true
	case swim.TransitionSuspected:
		return events.Suspected, true
	case swim.TransitionRefuted:
		return events.Refuted, true
	case swim.TransitionFailed:
		return events.Failed, true
	case swim.TransitionLeft:
		return events.Left, true
	case swim.TransitionTagged:
		return events.Tagged, true
	case swim.TransitionHealthCheckFailed:
		return events.HealthCheckFailed, true
	case swim.TransitionPartitioned:
		return events.Partitioned, true
	case swim.TransitionHealed:
		return events.Healed, true
	default:
		return "", false
	}
}

func evidence(e swim.Evidence) events.Evidence {
	out := events.Evidence{
		Reason: e.Reason, Probes: e.Probes, TimeoutMS: milliseconds(e.Timeout), RTTMS: milliseconds(e.RTT),
		LastHeard: instant(e.LastHeard), LocalHealth: e.LocalHealth, Since: instant(e.Since), Previous: e.Previous,
		Phi: e.Phi, Side: e.Side.String(), Reachable: e.Reachable, Total: e.Total,
	}
	for _, id := range e.Unreachable[:min(len(e.Unreachable), accusersMax)] {
		out.Unreachable = append(out.Unreachable, string(id))
	}
	for _, relay := range e.Relays[:min(len(e.Relays), relaysMax)] {
		out.Relays = append(out.Relays, events.Relay{ID: string(relay.ID), Answer: relay.Answer.String()})
	}
	for _, a := range e.Accusers[:min(len(e.Accusers), accusersMax)] {
		out.Accusers = append(out.Accusers, events.Accuser{ID: string(a.ID), Time: instant(a.At), Implicit: a.Implicit})
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// amended returns ev with its evidence changed. Evidence that is not ours to read is kept as it is, without the change.
func amended(ev events.Event, change func(*events.Evidence)) events.Event {
	e, err := events.ParseEvidence(ev.Evidence)
	if err != nil {
		return ev
	}
	change(&e)
	ev.Evidence = e.Raw()
	return ev
}
