package projections_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall/events"
	"rollcall/projections"
)

func show(d projections.Diff) string {
	var out []string
	for sign, list := range map[string][]projections.Change{"+": d.Added, "~": d.Changed, "-": d.Removed} {
		for _, c := range list {
			out = append(out, sign+c.ID+fmt.Sprint(c.Fields))
		}
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(a[1:], b[1:]) })
	return strings.Join(out, " ")
}

func TestDiff(t *testing.T) {
	views := &tale{Views: projections.New("test")}
	instants := []*projections.Registry{views.Freeze().Registry}
	at := func(kind events.Kind, node, author string, incarnation uint64) {
		views.say(kind, node, author, incarnation)
		instants = append(instants, views.Freeze().Registry)
	}
	at(events.Joined, "n1", "n1", 1)            // 1
	at(events.Joined, "n2", "n2", 1)            // 2
	at(events.Suspected, "n2", "n1", 1)         // 3
	at(events.Failed, "n2", "n1", 1)            // 4
	at(events.HealthCheckFailed, "n1", "n2", 1) // 5
	at(events.Left, "n1", "n1", 1)              // 6
	at(events.Joined, "n2", "n2", 2)            // 7
	at(events.Joined, "n1", "n1", 2)            // 8
	for _, tc := range []struct {
		from, to int
		want     string
	}{
		{0, 2, "+n1[state incarnation since] +n2[state incarnation since]"},
		{2, 3, "~n2[state since accusers]"},
		{2, 4, "~n2[state since accusers]"},
		{4, 5, ""},
		{3, 6, "-n1[state since] ~n2[state since]"},
		{6, 8, "+n1[state incarnation since] ~n2[state incarnation since accusers]"},
		{2, 8, "~n1[incarnation since] ~n2[incarnation since]"},
		{2, 0, "-n1[state incarnation since] -n2[state incarnation since]"},
		{7, 7, ""},
	} {
		if got := show(projections.DiffOf(instants[tc.from], instants[tc.to])); got != tc.want {
			t.Errorf("from %d to %d: %s, want %s", tc.from, tc.to, got, tc.want)
		}
	}
}
