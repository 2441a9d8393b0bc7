package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"rollcall/events"
)

// why is an author's evidence in a few words, for a column; -o json has all of it. Evidence that cannot be read is empty
// here: a foreign author may put anything there.
func why(raw json.RawMessage) string {
	e, err := events.ParseEvidence(raw)
	if err != nil {
		return ""
	}
	var parts []string
	say := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if e.Reason != "" {
		say("%s", e.Reason)
	}
	switch {
	case e.Probes == 1:
		say("1 ping unanswered")
	case e.Probes > 1:
		say("%d pings unanswered", e.Probes)
	}
	if len(e.Relays) > 0 {
		say("relays %s", join(e.Relays, func(r events.Relay) string { return r.ID + "=" + r.Answer }))
	}
	if e.Phi > 0 {
		say("phi %.1f", e.Phi)
	}
	if len(e.Accusers) > 0 {
		say("accused by %s", join(e.Accusers, accuser))
	}
	if e.Side != "" {
		say("%s, %d of %d reachable", e.Side, e.Reachable, e.Total)
	}
	if e.Previous > 0 {
		say("incarnation %d before", e.Previous)
	}
	if e.Late != "" {
		say("%s", e.Late)
	}
	return strings.Join(parts, "; ")
}

// accuser is who accused, and whether in words: one that is under suspicion itself is counted without.
func accuser(a events.Accuser) string {
	if a.Implicit {
		return a.ID + " (silent)"
	}
	return a.ID
}

func join[T any](list []T, text func(T) string) string {
	parts := make([]string, len(list))
	for i, item := range list {
		parts[i] = text(item)
	}
	return strings.Join(parts, ",")
}
