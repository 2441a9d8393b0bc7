package projections_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/projections"
)

var update = flag.Bool("update", false, "rewrite the views in testdata with what the fold makes of the events")

// The scripts in testdata fold events and show the views. A file is a list of blocks; a block is lines of input, a line
// "----", lines of output, and an empty line. Lines that start with # are comments. The inputs are
//
//	<kind> <node> by <author> at <incarnation> [<key>=<value>…]   fold an event; ev.<name> is evidence, mismatch breaks it
//	reject <node> <reason…>                                       fold an event that cannot be read
//	plan <group> by <author> seen <position> bound <n> <pair> …   fold a plan; see foldGroup
//	resign <group> by <author>                                    fold that the director gives the group up
//	later <seconds>                                               let time pass between two events, which are a second apart
//	reload                                                        encode and decode the views
//	mark                                                          remember the views as they are
//	account [<node>]                                              show the account of a node, or of all, since the mark
//	registry | timeline <node> | rejected | group <name>          show a view
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, views: projections.New("test")}
	var out strings.Builder
	for i, block := range strings.Split(strings.TrimRight(string(raw), "\n"), "\n\n") {
		input, want, _ := strings.Cut(block, "\n----")
		got := s.run(input)
		if want = strings.Trim(want, "\n"); got != want && !*update {
			t.Errorf("%s, block %d:\n%s\n---- got\n%s\n---- want\n%s", file, i+1, input, got, want)
		}
		if i > 0 {
			out.WriteString("\n")
		}
		out.WriteString(input + "\n----\n")
		if got != "" {
			out.WriteString(got + "\n")
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// script is one run: its views, and how many events there were.
type script struct {
	t     *testing.T
	views *projections.Views
	n     uint64
	later time.Duration

	marked   *projections.Views // nil: none
	markedAt time.Time
}

// now is when the log accepts the event that is the latest, and what time let pass since.
func (s *script) now() time.Time {
	return time.Date(2026, 3, 1, 12, 0, int(s.n), 5_000_000, time.UTC).Add(s.later)
}

func (s *script) run(input string) string {
	var out []string
	for line := range strings.Lines(input) {
		word := strings.Fields(line)
		if len(word) == 0 || strings.HasPrefix(word[0], "#") {
			continue
		}
		switch word[0] {
		case "registry":
			out = append(out, showRegistry(s.views)...)
		case "timeline":
			out = append(out, showTimeline(s.views, word[1])...)
		case "mark":
			s.marked, s.markedAt = s.views.Freeze(), s.now()
		case "account":
			out = append(out, s.showAccount(word[1:]))
		case "rejected":
			out = append(out, showRejected(s.views)...)
		case "group":
			out = append(out, showGroup(s.views, word[1])...)
		case "plan", "resign":
			out = append(out, s.foldGroup(word))
		case "later":
			d, err := time.ParseDuration(word[1] + "s")
			if err != nil {
				s.t.Fatal(err)
			}
			s.later += d
		case "reload":
			views, err := projections.Decode("test", s.views.Encode())
			if err != nil {
				s.t.Fatal(err)
			}
			s.views = views
		case "reject":
			s.n++
			s.views.Reject(&events.DecodeError{
				Position: s.n, Subject: "rollcall.test.node." + word[1] + "." + word[1] + ".joined",
				Err: errors.New(strings.Join(word[2:], " ")),
			})
		default:
			out = append(out, s.fold(word))
		}
	}
	return strings.Join(out, "\n")
}

// fold reads "<kind> <node> by <author> at <incarnation> …".
func (s *script) fold(word []string) string {
	s.n++
	if len(word) < 6 || word[2] != "by" || word[4] != "at" {
		s.t.Fatalf("cannot read %q", strings.Join(word, " "))
	}
	incarnation, err := strconv.ParseUint(word[5], 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	at := s.now().Add(-5 * time.Millisecond)
	rec := events.Recorded{Position: s.n, Stored: s.now(), Event: events.Event{
		ID: fmt.Sprintf("00000000-0000-7000-8000-%012d", s.n), Kind: events.Kind(word[0]), Cluster: "test", Node: word[1],
		Author: word[3], Incarnation: incarnation, Time: at,
	}}
	evidence := make(map[string]any)
	for _, pair := range word[6:] {
		key, value, _ := strings.Cut(pair, "=")
		switch name, isEvidence := strings.CutPrefix(key, "ev."); {
		case isEvidence && name == "accusers":
			var list []events.Accuser
			for id := range strings.SplitSeq(value, ",") {
				list = append(list, events.Accuser{ID: id})
			}
			evidence[name] = list
		case isEvidence:
			evidence[name] = value
		case key == "addr":
			rec.Address = value
		case key == "mismatch":
			rec.Mismatch = value
		default:
			if rec.Tags == nil {
				rec.Tags = make(map[string]string)
			}
			rec.Tags[key] = value
		}
	}
	if len(evidence) > 0 {
		if rec.Evidence, err = json.Marshal(evidence); err != nil {
			s.t.Fatal(err)
		}
	}
	step, ok := s.views.Apply(rec)
	if !ok {
		s.t.Fatalf("position %d was folded before", rec.Position)
	}
	return fmt.Sprintf("#%d %s", s.n, outcome(step.Outcome))
}

func outcome(o events.Outcome) string {
	text := o.Result.String()
	if o.Before != o.After {
		text += fmt.Sprintf(" %v->%v", o.Before, o.After)
	}
	if o.Reason != "" {
		text += " (" + o.Reason + ")"
	}
	return text
}

func showRegistry(v *projections.Views) []string {
	out := []string{fmt.Sprintf("position %d, %d live of %d", v.Position(), v.Live(), v.Registry.Len())}
	for _, n := range v.Registry.Nodes() {
		line := fmt.Sprintf("%s %v@%d", n.ID, n.State, n.Incarnation)
		if n.Address != "" {
			line += " " + n.Address
		}
		if len(n.Tags) > 0 {
			line += " " + strings.TrimPrefix(fmt.Sprint(n.Tags), "map")
		}
		if n.SincePosition > 0 {
			line += fmt.Sprintf(" since #%d %s, %s by %s", n.SincePosition, n.Since.Format(time.TimeOnly), n.Kind, n.By)
		}
		if len(n.Evidence) > 0 {
			line += " " + string(n.Evidence)
		}
		if len(n.Accusers) > 0 {
			line += fmt.Sprintf(" accusers %v", n.Accusers)
		}
		if from := n.UnreachableFrom(v.Stored()); len(from) > 0 {
			line += fmt.Sprintf(" unreachable from %v", from)
		}
		if n.Rejected > 0 {
			line += fmt.Sprintf(" rejected %d", n.Rejected)
		}
		out = append(out, line)
	}
	return out
}

func showTimeline(v *projections.Views, id string) []string {
	h, ok := v.Timeline.History(id)
	if !ok {
		return []string{"no history"}
	}
	out := []string{fmt.Sprintf("older %d, flaps %d, failed %d", h.Older, h.Flaps, h.Failures)}
	for _, e := range h.Entries {
		line := fmt.Sprintf("#%d %s %s by %s at %d: %s",
			e.Position, e.Time.Format(time.TimeOnly), e.Kind, e.Author, e.Incarnation, outcome(e.Outcome))
		if len(e.Evidence) > 0 {
			line += " " + string(e.Evidence)
		}
		out = append(out, line)
	}
	return out
}

// showAccount shows the account of a node, or of all of them.
func (s *script) showAccount(nodes []string) string {
	var sum projections.Account
	for id, a := range s.views.Timeline.Accounts(s.now()) {
		if len(nodes) > 0 && nodes[0] != id {
			continue
		}
		if s.marked != nil {
			before, _ := s.marked.Timeline.Account(id, s.markedAt)
			a.Sub(&before)
		}
		sum.Add(&a)
	}
	text := fmt.Sprintf("up %d of %d ms, suspicions %d, false %d, failures %d, flaps %d", sum.UpMillis, sum.KnownMillis,
		sum.Suspicions, sum.FalseSuspicions, sum.Failures, sum.Flaps)
	if d := sum.Detected; d.Count() > 0 {
		text += fmt.Sprintf(", %d detected: mean %v, half within %v, all within %v", d.Count(), d.Mean(), d.Percentile(50), d.Percentile(100))
	}
	return text
}

func showRejected(v *projections.Views) []string {
	last, total := v.Rejected()
	out := []string{fmt.Sprintf("rejected %d", total)}
	for _, r := range last {
		out = append(out, fmt.Sprintf("#%d %s: %s", r.Position, r.Node, r.Reason))
	}
	return out
}
