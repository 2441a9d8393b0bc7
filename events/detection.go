package events

import (
	"encoding/json"
	"time"
)

// Detection returns how long it took to find a node failed, by the evidence of a failed event: from when its author last heard
// the node until the verdict or, where the author never did, from when the suspicion began. Both ends are by the author's
// clock, so no other clock comes in; one that was set back gives 0. It reports false for an event of another kind, and for a
// verdict that says neither.
//
// The node may have gone at any moment after it was last heard, so this is what detection took at most.
func (ev *Event) Detection() (time.Duration, bool) {
	if ev.Kind != Failed {
		return 0, false
	}
	heard, since := evidenceTimes(ev.Evidence)
	switch {
	case !heard.IsZero():
		return max(0, ev.Time.Sub(heard)), true
	case !since.IsZero():
		return max(0, ev.Time.Sub(since)), true
	default:
		return 0, false
	}
}

// evidenceTimes returns last_heard and since, zero where they are not said. Folds ask it of every verdict: evidence as we write
// it is scanned for the two, and only what is written otherwise is read as a whole.
func evidenceTimes(raw json.RawMessage) (lastHeard, since time.Time) {
	if len(raw) == 0 {
		return lastHeard, since
	}
	s := plainScanner{body: raw}
	s.evidenceTimes(&lastHeard, &since)
	if !s.bad && s.at == len(raw) {
		return lastHeard, since
	}
	e, err := ParseEvidence(raw)
	lastHeard, since = time.Time{}, time.Time{}
	if err != nil {
		return lastHeard, since
	}
	if e.LastHeard != nil {
		lastHeard = e.LastHeard.UTC()
	}
	if e.Since != nil {
		since = e.Since.UTC()
	}
	return lastHeard, since
}

func (s *plainScanner) evidenceTimes(lastHeard, since *time.Time) {
	s.want(`{`)
	for !s.bad {
		s.want(`"`)
		switch name := s.text(); {
		case string(name) == "last_heard" && s.take(`:"`):
			s.time(lastHeard)
		case string(name) == "since" && s.take(`:"`):
			s.time(since)
		default:
			s.want(`:`)
			s.value()
		}
		if !s.take(`,`) {
			s.want(`}`)
			return
		}
	}
}
