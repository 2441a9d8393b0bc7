package swim

import (
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// queueModel is the queue as a list in the order in which entries are due.
type queueModel struct{ entries []modelEntry }

type modelEntry struct {
	ref      int32
	priority priority
	sent     int
}

func (q *queueModel) put(ref int32, priority priority) {
	q.drop(ref)
	q.insert(modelEntry{ref, priority, 0})
}

func (q *queueModel) drop(ref int32) {
	q.entries = slices.DeleteFunc(q.entries, func(e modelEntry) bool { return e.ref == ref })
}

// insert puts e behind all that are as urgent.
func (q *queueModel) insert(e modelEntry) {
	at := 0
	for i, o := range q.entries {
		if o.priority > e.priority || o.priority == e.priority && o.sent <= e.sent {
			at = i + 1
		}
	}
	q.entries = slices.Insert(q.entries, at, e)
}

func (q *queueModel) sent(ref int32, limit int) {
	i := slices.IndexFunc(q.entries, func(e modelEntry) bool { return e.ref == ref })
	e := q.entries[i]
	q.drop(ref)
	if e.sent++; e.sent < limit {
		q.insert(e)
	}
}

func (q *queueModel) choose(most int) (refs []int32) {
	for _, e := range q.entries[:min(most, len(q.entries))] {
		refs = append(refs, e.ref)
	}
	return refs
}

// TestQueueModel: highest priority first, in it what was sent least, in that what waits longest; one entry a member,
// and the newer replaces the older whatever its priority (requirements 1.4).
func TestQueueModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		q.init()
		var model queueModel
		limit := rapid.IntRange(1, 6).Draw(t, "limit")
		ref := rapid.Int32Range(0, 9)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				r, p := ref.Draw(t, "ref"), priority(rapid.IntRange(0, priorities-1).Draw(t, "priority"))
				q.put(r, p)
				model.put(r, p)
			},
			"drop": func(t *rapid.T) {
				r := ref.Draw(t, "ref")
				q.drop(r)
				model.drop(r)
			},
			"send": func(t *rapid.T) {
				dst := make([]int32, rapid.IntRange(0, 12).Draw(t, "room"))
				got := dst[:q.choose(dst)]
				if want := model.choose(len(dst)); !slices.Equal(got, want) {
					t.Fatalf("chose %v, want %v", got, want)
				}
				for _, r := range got[:rapid.IntRange(0, len(got)).Draw(t, "fit")] {
					q.sent(r, limit)
					model.sent(r, limit)
				}
			},
			"": func(t *rapid.T) {
				if q.length != len(model.entries) {
					t.Fatalf("holds %d entries, want %d", q.length, len(model.entries))
				}
				all := make([]int32, 16)
				if got, want := all[:q.choose(all)], model.choose(16); !slices.Equal(got, want) {
					t.Fatalf("would choose %v, want %v", got, want)
				}
			},
		})
	})
}

// countTold steps n until its queue is empty, or for so many deadlines, and counts the packets that carry a claim about id.
func countTold(t *testing.T, n *Node, id ID, deadlines int) int {
	t.Helper()
	told := 0
	for range deadlines {
		for _, e := range n.Step(n.Deadline(), Tick()) {
			if e.Kind == EffectSend && slices.ContainsFunc(sentUpdates(t, e.Data), func(u update) bool { return ID(u.id) == id }) {
				told++
			}
		}
		if n.queue.length == 0 {
			break
		}
	}
	return told
}

func sentUpdates(t *testing.T, datagram []byte) []update {
	t.Helper()
	var msg message
	if err := decodeMessage(datagram, &msg); err != nil {
		t.Fatalf("%x: %v", datagram, err)
	}
	return decodeUpdates(t, msg.updates)
}

// TestSentSoOften: each update leaves λ·⌈log2(n+1)⌉ times, then no more (SWIM, section 4.1).
func TestSentSoOften(t *testing.T) {
	for _, c := range []struct{ factor, members, want int }{
		{1, 2, 2}, {1, 3, 2}, {1, 4, 3}, {3, 7, 9}, {3, 8, 12}, {3, 100, 21}, {16, 3, 32},
	} {
		n := newNode(t, Config{GossipFactor: c.factor, Strategy: RoundRobin})
		n.Step(testEpoch, Tick())
		var rows []*member
		for i := 2; i <= c.members; i++ {
			rows = append(rows, row(string(nameOf(i)), Alive, 1))
		}
		n.Step(testEpoch, ExchangeReply("n2", testAddr(2), seedState(rows...)))
		n.queue = queue{}
		n.queue.init()
		n.Step(testEpoch, Datagram("n2", testAddr(2), gossipOf(row("stranger", Left, 1))))
		n.say(n.find("stranger"), priorityHigh)
		if got := countTold(t, n, "stranger", 1000); got != c.want || n.queue.length != 0 {
			t.Errorf("λ %d, %d members: told %d times, %d left; want %d = λ·⌈log2(n+1)⌉", c.factor, c.members, got, n.queue.length, c.want)
		}
		if want := c.factor * bits.Len(uint(c.members)); want != c.want {
			t.Errorf("the table is wrong: %d", want)
		}
	}
}

// TestAloneKeepsWhatItHasToSay: a cluster of one drops nothing until somebody hears it, though all that time it tries
// members again that it holds failed (requirements 1.4).
func TestAloneKeepsWhatItHasToSay(t *testing.T) {
	for name, others := range map[string][]*member{
		"by itself":          nil,
		"the others failed":  {row("n3", Failed, 1, "n2"), row("n4", Failed, 1, "n2"), row("n5", Left, 1)},
		"the one other left": {row("n5", Left, 1)},
	} {
		n := newNode(t, Config{})
		n.Step(testEpoch, Tick())
		if others != nil {
			n.Step(testEpoch, ExchangeReply("n5", testAddr(5), seedState(others...)))
		}
		n.Step(testEpoch, SetTags(Tags{{"role", "db"}}))
		told := countTold(t, n, "n1", 200)
		if n.queue.length != 1 {
			t.Errorf("%s: after %d packets to nobody it keeps %d entries, want its own", name, told, n.queue.length)
		}
		if retries := others != nil && others[0].state == Failed; retries != (told > n.sendsOf()) {
			t.Errorf("%s: it told the failed %d times: it tests nothing", name, told)
		}
		n.Step(n.Deadline(), Datagram("n2", testAddr(2), gossipOf(row("n2", Alive, 1))))
		if told := countTold(t, n, "n1", 100); told == 0 {
			t.Errorf("%s: the newcomer was told nothing", name)
		}
	}
}

// TestDepartedCountAsNobody: who left and still asks is answered, and that is not counted as having told anybody.
func TestDepartedCountAsNobody(t *testing.T) {
	n := newNode(t, Config{})
	n.Step(testEpoch, Tick())
	n.Step(testEpoch, Datagram("n2", testAddr(2), gossipOf(row("n2", Left, 1))))
	n.Step(testEpoch, SetTags(Tags{{"role", "db"}}))
	for i := range 100 {
		n.Step(testEpoch, Datagram("n2", testAddr(2), appendMessage(nil, &message{typ: messagePing, seq: uint32(i)})))
	}
	if told := countTold(t, n, "n1", 100); told != 0 || n.queue.length != 1 {
		t.Errorf("after a hundred answers to one that left it keeps %d entries, want its own", n.queue.length)
	}
}
