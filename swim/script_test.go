package swim

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("update", false, "rewrite what the scripts in testdata print; read the diff")

// The scripts in testdata step one Node, n1, among simulated peers, and show what it asks for. A file is a list of blocks:
// lines of input, a line "----", what they print, an empty line. Lines that start with # are comments. The inputs are
//
//	node members=<n> [id=<id>] [robin] [mute] [seed=<n>]
//	                                          n1 in a cluster of n1 to n<n>, already formed; prints nothing. While it is up,
//	                                          n<n> pings n1 every second. Under another id it takes n1's place, and there is no
//	                                          n1. mute is MinorityMute
//	show <what>…                              print these alone: ping ack ping-req nack gossip member transition exchange gone
//	                                          partition
//	peer <id>… up|down|deaf|mute              how peers answer from now on: up (the default) answers pings in 2 ms and serves
//	                                          ping-reqs, down is silent, deaf hears all but n1, mute answers pings alone
//	run <time>                                let time pass until then, with every deadline and every answer
//	late <time>                               the same, but nothing is stepped in between: n1 stands still
//	at <time> <input>                         run until then, and step with one input:
//	    from <id> ping|ack|ping-req|nack|gossip [seq=<n>|seq=last[:<id>]] [regular] [due=<ms>] [target=<id>] [| <update>; …]
//	    sync <id> | <update>; …               a state exchange was answered
//	    down <id> closed|reset|unreachable|cut  the transport's hint
//	    accuse <id> inc=<n> by <id>,…         the first of them gossips that they all accuse it
//	    log | <update>                        the log says so
//	    tick · leave · tags <k>=<v>… · rise <n>
//	status                                    print live members, health and counters
//	partition                                 print what n1 makes of the members that it cannot reach, with the figures
//
// An update is "<id> <state> <incarnation> [by <id>[(implicit)],…|at <id>]", where at gives it that one's address. In seq=last, the
// number is that of n1's last ping or ping-req to the peer, or to another one that is named. Times count from the start.
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
	s := &script{t: t}
	var blocks []string
	for i, block := range strings.Split(strings.TrimRight(string(raw), "\n"), "\n\n") {
		input, want, _ := strings.Cut(block, "\n----")
		s.out = nil
		for line := range strings.Lines(input) {
			if words := strings.Fields(line); len(words) > 0 && words[0][0] != '#' {
				s.do(words)
			}
		}
		got := strings.Join(s.out, "\n")
		if want = strings.Trim(want, "\n"); got != want && !*rewrite {
			t.Errorf("%s, block %d (rewrite with -update):\n%s\n---- got\n%s\n---- want\n%s", file, i+1, input, got, want)
		}
		blocks = append(blocks, strings.TrimSuffix(input+"\n----\n"+got, "\n"))
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(strings.Join(blocks, "\n\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// rtt is the round trip to every simulated peer.
const rtt = 2 * time.Millisecond

type script struct {
	t       *testing.T
	n       *Node
	now     time.Duration
	out     []string
	shown   []string // nil: everything
	hidden  bool
	answers map[ID]string
	last    map[ID]uint32 // number of the last ping or ping-req to a peer
	pending []arrival     // in order of time
	pinger  ID            // the member that pings n1, and when next
	pings   time.Duration
	split   Partition // as last printed
}

// arrival is what the network delivers later.
type arrival struct {
	at time.Duration
	in Input
}

func (s *script) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("at %v: %s", s.now, fmt.Sprintf(format, args...))
}

func (s *script) do(words []string) {
	args := words[1:]
	switch words[0] {
	case "node":
		s.start(args)
	case "show":
		s.shown = args
	case "peer":
		for _, id := range args[:len(args)-1] {
			s.answers[ID(id)] = args[len(args)-1]
		}
	case "run":
		s.run(s.duration(args[0]))
	case "late":
		s.now = s.duration(args[0])
		s.step(Tick())
		s.run(s.now)
	case "at":
		s.run(s.duration(args[0]))
		s.step(s.input(args[1:]))
		s.run(s.now)
	case "status":
		c := s.n.Counters()
		s.out = append(s.out, fmt.Sprintf("live=%d health=%d accusations=%d verdicts=%d refutations=%d stalls=%d probes=%d missed=%d",
			s.n.Live(), s.n.Health(), c.Accusations, c.Verdicts, c.Refutations, c.Stalls, c.Probes, c.Missed))
	case "partition":
		p := s.n.Partition()
		text := describePartition(p)
		if p.Side == NoSide {
			text += fmt.Sprintf(", %d of %d reachable", p.Reachable, p.Total)
		}
		s.out = append(s.out, text)
	default:
		s.fail("unknown command %q", words[0])
	}
}

func (s *script) duration(word string) time.Duration {
	d, err := time.ParseDuration(word)
	if err != nil || d < s.now {
		s.fail("time %q: %v", word, err)
	}
	return d
}

func (s *script) number(word string) uint64 {
	v, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		s.fail("%v", err)
	}
	return v
}

// start forms a cluster and lets it settle for a second, unseen.
func (s *script) start(args []string) {
	cfg := Config{ID: "n1", Addr: testAddr(1), Seed: 1}
	members := 0
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "members":
			members = int(s.number(value))
		case "id":
			cfg.ID = ID(value)
		case "mute":
			cfg.MinorityMute = true
		case "robin":
			cfg.Strategy = RoundRobin
		case "seed":
			cfg.Seed = s.number(value)
		default:
			s.fail("unknown setting %q", key)
		}
	}
	n, err := New(cfg, testEpoch)
	if err != nil {
		s.fail("%v", err)
	}
	*s = script{t: s.t, n: n, answers: make(map[ID]string), last: make(map[ID]uint32), hidden: true}
	s.pinger, s.pings = nameOf(members), 700*time.Millisecond
	s.step(Tick())
	var rows []*member
	for i := 2; i <= members; i++ {
		m := row(string(nameOf(i)), Alive, 1)
		m.place = placeOf(testAddr(i))
		rows = append(rows, m)
	}
	if members > 1 {
		s.step(ExchangeReply("n2", testAddr(2), seedState(rows...)))
	}
	s.run(time.Second)
	s.hidden, s.split = false, n.Partition()
}

// run steps the node at every deadline and arrival until the given time, that included.
func (s *script) run(until time.Duration) {
	for ; s.pings <= until; s.pings += time.Second {
		if how := s.answers[s.pinger]; s.pinger != s.n.self.id && how != "down" {
			s.arrive(s.pings, s.pinger, message{typ: messagePing, incarnation: 1, digest: s.n.Digest()})
		}
	}
	for range 100_000 {
		deadline := s.n.Deadline().Sub(testEpoch)
		arrived := len(s.pending) > 0 && s.pending[0].at <= deadline
		if arrived {
			deadline = s.pending[0].at
		}
		if deadline > until {
			s.now = until
			return
		}
		s.now = max(s.now, deadline)
		in := Tick()
		if arrived {
			in = s.pending[0].in
			s.pending = s.pending[1:]
		}
		s.step(in)
	}
	s.fail("the node asks for a step without end")
}

func (s *script) step(in Input) {
	for _, e := range s.n.Step(testEpoch.Add(s.now), in) {
		kind, text := s.describe(e)
		if !s.hidden && (s.shown == nil || slices.Contains(s.shown, kind)) {
			s.out = append(s.out, fmt.Sprintf("%v %s", s.now.Round(time.Millisecond), text))
		}
	}
	if p := s.n.Partition(); p.State != s.split.State || p.Side != s.split.Side {
		if !s.hidden && slices.Contains(s.shown, "partition") {
			s.out = append(s.out, fmt.Sprintf("%v partition %s", s.now.Round(time.Millisecond), describePartition(p)))
		}
		s.split = p
	}
	checkNode(s.t, s.n)
}

// answer plays the peer that got a datagram.
func (s *script) answer(to Peer, msg *message) {
	how := s.answers[to.ID]
	switch {
	case how == "down" || how == "deaf":
	case msg.typ == messagePing:
		s.arrive(s.now+rtt, to.ID, message{typ: messageAck, seq: msg.seq, incarnation: 1, digest: s.n.Digest()})
	case msg.typ == messagePingReq && how != "mute":
		if s.answers[msg.target.ID] == "down" {
			s.arrive(s.now+50*time.Millisecond+rtt, to.ID, message{typ: messageNack, seq: msg.seq})
		} else {
			s.arrive(s.now+2*rtt, to.ID, message{typ: messageAck, seq: msg.seq, incarnation: 1, digest: s.n.Digest()})
		}
	}
}

func (s *script) arrive(at time.Duration, from ID, msg message) {
	i := len(s.pending)
	for i > 0 && s.pending[i-1].at > at {
		i--
	}
	in := Datagram(from, s.n.find(from).addr(), appendMessage(nil, &msg))
	s.pending = slices.Insert(s.pending, i, arrival{at, in})
}
