package swimsim

import (
	"strings"
	"testing"
	"time"

	"rollcall/swim"
)

// A checker that cannot fail shows nothing: each invariant is broken once, by a claim that no honest member makes.

func checkedWorld(n int) *World {
	w := New(Config{Seed: 1, Checked: true, Log: &LogConfig{}})
	for i := range n {
		w.Start(Name(i))
	}
	w.Form()
	w.Run(5 * time.Second)
	return w
}

// wantBreach demands that the checker has found a breach of an invariant; of "", that it has found none.
func wantBreach(t *testing.T, w *World, invariant string) {
	t.Helper()
	if err := w.Err(); (err != nil) != (invariant != "") || err != nil && !strings.HasPrefix(err.Error(), invariant) {
		t.Errorf("the checker says %v, want a breach of %q", err, invariant)
	}
}

func TestCheckerSeesI5AnIllegalPath(t *testing.T) {
	w := checkedWorld(4)
	w.log.keep(&Record{Kind: swim.TransitionSuspected, Subject: "n1", Author: "n0", Incarnation: 7}, Applied)
	wantBreach(t, w, "I5")
}

func TestCheckerSeesI6AStepBack(t *testing.T) {
	w := checkedWorld(4)
	n0 := w.Member("n0")
	row := w.Member("n1").Node.Self()
	row.State = swim.Failed
	w.checker.member(n0, &row)
	row.State = swim.Alive
	w.checker.member(n0, &row)
	wantBreach(t, w, "I6")
}

func TestCheckerSeesI7ARaiseByAnother(t *testing.T) {
	w := checkedWorld(4)
	n1 := w.Member("n1").Node.Self()
	w.Member("n0").step(swim.FromLog(&swim.LogClaim{ID: "n1", Addr: n1.Addr, Incarnation: 99, State: swim.Alive}))
	wantBreach(t, w, "I7")
}

// charge is one member's accusation of another.
type charge struct{ by, subject swim.ID }

// charges has each of them said aloud: held by its author and known to the checker.
func charges(w *World, all []charge) {
	for _, c := range all {
		by, row := w.Member(c.by), w.Member(c.subject).Node.Self()
		row.State = swim.Suspect
		w.checker.member(by, &row)
		w.checker.transition(by, &swim.Transition{Kind: swim.TransitionSuspected, Own: true, Author: c.by, Subject: c.subject, Incarnation: 1})
	}
}

// record puts the same accusations into the log.
func record(w *World, all []charge) {
	accused := map[swim.ID]bool{}
	for _, c := range all {
		ruling := Evident
		if !accused[c.subject] {
			ruling = Applied
		}
		accused[c.subject] = true
		w.log.keep(&Record{Kind: swim.TransitionSuspected, Subject: c.subject, Author: c.by, Incarnation: 1}, ruling)
	}
}

// The judge is n0, the accused n1, of eight members: three must have evidence. Each verdict is tried in the judge's view and in
// the log, which counts for itself who accused.
func TestCheckerSeesI8AVerdictWithoutAQuorum(t *testing.T) {
	said := func(id swim.ID) swim.Accuser { return swim.Accuser{ID: id} }
	mute := func(id swim.ID) swim.Accuser { return swim.Accuser{ID: id, Implicit: true} }
	two := []charge{{"n0", "n1"}, {"n2", "n1"}}
	for _, c := range []struct {
		name   string
		more   []charge
		named  []swim.Accuser
		breach bool
	}{
		{"two and nobody", nil, nil, true},
		{"two and one that says so", []charge{{"n3", "n1"}}, []swim.Accuser{said("n3")}, false},
		{"two and one of them again", nil, []swim.Accuser{said("n2")}, true},
		{"two and one of them again, as silent", []charge{{"n3", "n2"}}, []swim.Accuser{mute("n2")}, true},
		{"two and one that never said so", nil, []swim.Accuser{said("n3")}, true},
		{"two and the accused", nil, []swim.Accuser{mute("n1")}, true},
		{"two and one that cannot speak", []charge{{"n0", "n4"}, {"n2", "n4"}}, []swim.Accuser{mute("n4")}, false},
		{"two and one that can", nil, []swim.Accuser{mute("n4")}, true},
		{"two and one that only the judge holds silent", []charge{{"n0", "n4"}}, []swim.Accuser{mute("n4")}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := ""
			if c.breach {
				want = "I8"
			}
			all, named := append(c.more, two...), append([]swim.Accuser{said("n0"), said("n2")}, c.named...)

			w := checkedWorld(8)
			charges(w, all)
			n0, n1 := w.Member("n0"), w.Member("n1").Node.Self()
			n1.State = swim.Failed
			w.checker.member(n0, &n1)
			w.checker.transition(n0, &swim.Transition{Kind: swim.TransitionFailed, Subject: "n1", Author: "n0", Incarnation: 1,
				Evidence: swim.Evidence{Reason: swim.ReasonTimeOver, Accusers: named}})
			wantBreach(t, w, want)

			w = checkedWorld(8)
			charges(w, all)
			record(w, all)
			w.log.keep(&Record{Kind: swim.TransitionFailed, Subject: "n1", Author: "n0", Incarnation: 1, Accusers: named}, Applied)
			wantBreach(t, w, want)
		})
	}
}

func TestCheckerSeesI8AVerdictThatNobodyReached(t *testing.T) {
	w := checkedWorld(4)
	w.checker.transition(w.Member("n0"), &swim.Transition{Kind: swim.TransitionFailed, Subject: "n1", Author: "n2", Incarnation: 1,
		Evidence: swim.Evidence{Reason: swim.ReasonTold}})
	wantBreach(t, w, "I8")

	w = checkedWorld(4) // in the log, on accusations that nobody made
	record(w, []charge{{"n0", "n1"}, {"n2", "n1"}, {"n3", "n1"}})
	w.log.keep(&Record{Kind: swim.TransitionFailed, Subject: "n1", Author: "n0", Incarnation: 1}, Applied)
	wantBreach(t, w, "I8")
}

func TestCheckerSeesI15AFlood(t *testing.T) {
	w := checkedWorld(4)
	for range sentMax + 1 {
		w.send(w.Member("n0"), &swim.Effect{Kind: swim.EffectSend, To: swim.Peer{ID: "n1", Addr: w.Member("n1").Addr}})
	}
	wantBreach(t, w, "I15")
}

func TestDisagreementSeesWhoIsMissedAndWhoIsFailed(t *testing.T) {
	w := checkedWorld(8)
	if err := w.Disagreement(); err != nil {
		t.Fatalf("a quiet cluster: %v", err)
	}
	w.Crash(w.Member("n3"))
	if err := w.Disagreement(); err == nil || !strings.HasPrefix(err.Error(), "I12") {
		t.Errorf("right after a crash: %v, want I12", err)
	}
	w.Run(10 * time.Second)
	if err := w.Disagreement(); err != nil {
		t.Errorf("long after a crash: %v", err)
	}
	n1 := w.Member("n1")
	w.Cut(func(from, to *Member) bool { return from == n1 || to == n1 })
	w.log.Detach(n1)
	w.Run(10 * time.Second)
	if err := w.Disagreement(); err == nil || !strings.HasPrefix(err.Error(), "I13") {
		t.Errorf("with a member cut off: %v, want I13", err)
	}
}

// The log refuses what the rules refuse, whoever sends it.
func TestLogKeepsOneLegalHistory(t *testing.T) {
	w := New(Config{Seed: 1, Log: &LogConfig{}})
	for i := range 5 {
		w.Start(Name(i))
	}
	w.Run(time.Second)
	l := w.log
	say := func(kind swim.TransitionKind, subject, author swim.ID, incarnation uint64, want Ruling) {
		t.Helper()
		r := &Record{Kind: kind, Subject: subject, Author: author, Incarnation: incarnation}
		ruling := l.rule(r)
		if ruling != want {
			t.Errorf("%v of %s@%d by %s: %v, want %v", kind, subject, incarnation, author, ruling, want)
		}
	}
	say(swim.TransitionFailed, "n1", "n0", 1, waits) // one accuser of three
	say(swim.TransitionSuspected, "n1", "n0", 1, Evident)
	say(swim.TransitionSuspected, "n1", "n2", 1, Evident)
	say(swim.TransitionSuspected, "n1", "n2", 1, Evident) // the same again is no second accuser
	say(swim.TransitionFailed, "n1", "n2", 1, waits)
	say(swim.TransitionSuspected, "n1", "stranger", 1, waits)
	say(swim.TransitionRefuted, "n1", "n1", 2, Applied)
	say(swim.TransitionFailed, "n1", "n3", 1, Late)
	say(swim.TransitionFailed, "n1", "n3", 3, waits) // nobody but n1 says that it is at 3
	for _, author := range []swim.ID{"n0", "n2", "n3"} {
		want := Evident
		if author == "n0" {
			want = Applied
		}
		say(swim.TransitionSuspected, "n1", author, 2, want)
	}
	say(swim.TransitionFailed, "n1", "n3", 2, Applied)
	say(swim.TransitionFailed, "n1", "n0", 2, Late)
	say(swim.TransitionSuspected, "n2", "n1", 1, waits) // who is failed accuses nobody
	say(swim.TransitionLeft, "n1", "n1", 2, Applied)
	say(swim.TransitionSuspected, "n1", "n0", 2, Late)
}
