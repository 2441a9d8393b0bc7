package integration

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events/jslog"
	"rollcall/infra/loopback"
	"rollcall/infra/nats"
)

var (
	chaosFor  = flag.Duration("chaos", time.Second, "how long TestChaos kills members, projectors and NATS servers")
	chaosSeed = flag.Uint64("chaos-seed", 1, "of what it kills, and when")
)

// Who takes part in TestChaos.
const (
	chaosMembers    = 5
	chaosProjectors = 2
	chaosServers    = 3
	chaosQuorum     = chaosServers/2 + 1 // with fewer servers nobody gets anything into the log
)

// Servers that come back while the machine has much else to do take minutes: where a handshake takes longer than the two seconds that
// they give it, they begin anew, and so they do with elections.
const (
	chaosPatience  = 5 * time.Minute
	infoTimeoutMin = time.Second // who asks when there is no leader is never answered
	infoTimeoutMax = 20 * time.Second
)

// How long it is until the next one goes or comes back: most often no time at all, sometimes long enough for the others to say
// that it failed.
const (
	lingerMax = 400 * time.Millisecond
	absence   = 5 * time.Second
)

// I1, I2, I5, I8, I9, I10, I11, I14: members, projectors and NATS servers, each a process, are killed with kill -9 and started again,
// several at once, for as long as -chaos says; at times so many servers that the log is away, and members die and start meanwhile.
// Afterwards everything that a member's outbox ever accepted is in the log, once, or the log is seen to have had no use for it; the
// log holds nothing that does not follow; members and projectors say the same of everybody; and a subscriber has seen it all.
func TestChaos(t *testing.T) {
	c := newChaos(t)
	rnd := rand.New(rand.NewPCG(*chaosSeed, 0))
	c.agreed()
	silence := c.talk()
	deadline := time.Now().Add(*chaosFor)
	quorum, most := c.parts[aServer][:chaosQuorum], append(c.parts[aMember][1:chaosMembers:chaosMembers], c.parts[aProjector][0])
	c.turn(rnd, quorum, lingerMax) // they go
	c.turn(rnd, slices.Concat(most, most), 0)
	c.turn(rnd, quorum, 0) // and are back
	for time.Now().Before(deadline) {
		members, projectors, servers := rnd.IntN(chaosMembers+1), rnd.IntN(chaosProjectors+1), rnd.IntN(2)
		if rnd.IntN(3) == 0 {
			servers = chaosQuorum + rnd.IntN(2)
		}
		hold := time.Duration(0)
		if rnd.IntN(3) == 0 {
			hold = absence
		}
		c.turn(rnd, c.some(rnd, members, projectors, servers), hold)
		if rnd.IntN(2) == 0 { // else servers go that have not all caught up yet
			c.healthy()
		}
	}
	silence()
	c.settle()
	r := c.check()
	t.Logf("killed: %d members, %d of them while the log was away, %d projectors, %d servers; at most %d away at once; seed %d",
		c.kills[aMember], c.unheard, c.kills[aProjector], c.kills[aServer], c.away, *chaosSeed)
	t.Logf("%d events accepted by outboxes, %d of them waiting on disk at a kill, %d agreed with the log, %d about the end; %d changes of tags answered, "+
		"%d events in the log; lost %d, twice %d, illegal %d",
		r.accepted, r.waiting, r.agreed, r.unsaid, r.answered, r.stored, r.lost, r.twice, r.illegal)
	if r.lost+r.twice+r.illegal > 0 {
		t.Error("the log lost something, has something twice or holds what does not follow")
	}
	if c.unheard == 0 || r.waiting == 0 || r.accepted == 0 {
		t.Error("nobody died while the log was away, or with something to say: this shows nothing")
	}
}

// chaos is everybody who takes part, and what is known of them.
type chaos struct {
	*site
	cfg     nats.Config
	parts   [partKinds][]*part
	watched *jslog.Log // as a reader
	admin   jetstream.JetStream
	seen    atomic.Uint64 // how far a subscriber has come who was there from the beginning
	account *account

	kills   [partKinds]int
	unheard int // members that were killed while the log was away
	away    int // parts at once, at most
}

func newChaos(t *testing.T) *chaos {
	t.Helper()
	c := &chaos{site: &site{t: t, dir: t.TempDir()}, account: newAccount()}
	ports := loopback.Ports(t, 2*chaosServers+chaosProjectors+2*chaosMembers)
	take := func() (port int) {
		port, ports = ports[0], ports[1:]
		return port
	}
	var ids, binds []string
	for i := range chaosMembers {
		ids = append(ids, fmt.Sprintf("n%d", i+1))
		binds = append(binds, fmt.Sprintf("127.0.0.1:%d", take()))
	}
	c.authority("pki", ids...)
	c.startServers(ids, take)
	succeedSoon(t, "projector", c.as(nats.ProvisionerKey, "provision", "--cluster", siteCluster, "--replicas", "3")...)
	c.connect()
	c.subscribe()
	for _, id := range c.cfg.Projectors {
		c.startProjector(id, take())
	}
	for i, id := range ids {
		c.startMember(id, binds[i], slices.Delete(slices.Clone(binds), i, i+1), take())
	}
	return c
}

// some are as many of each kind as is said, each of them twice, shuffled.
func (c *chaos) some(rnd *rand.Rand, members, projectors, servers int) []*part {
	var turns []*part
	for kind, n := range [partKinds]int{aMember: members, aProjector: projectors, aServer: servers} {
		for _, i := range rnd.Perm(len(c.parts[kind]))[:n] {
			turns = append(turns, c.parts[kind][i], c.parts[kind][i])
		}
	}
	rnd.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
	return turns
}

// turn has it each part's turn: who is there is killed, who is away comes back. After half of them everything stays as it is for
// hold.
func (c *chaos) turn(rnd *rand.Rand, parts []*part, hold time.Duration) {
	c.t.Helper()
	for i, p := range parts {
		if p.process == nil {
			c.start(p)
		} else {
			c.kill(p)
		}
		pause := between(rnd)
		if i == (len(parts)-1)/2 {
			pause += hold
		}
		linger(pause)
	}
}

// between is how long it is from one turn to the next.
func between(rnd *rand.Rand) time.Duration {
	return time.Duration(rnd.Int64N(int64(lingerMax))) * time.Duration(rnd.IntN(2))
}

// What -chaos-seed says of when somebody is killed holds in every run.
func TestChaosPausesFollowTheSeed(t *testing.T) {
	var runs [2][20]time.Duration
	for i := range runs {
		rnd := rand.New(rand.NewPCG(7, 0))
		for j := range runs[i] {
			runs[i][j] = between(rnd)
		}
	}
	if runs[0] != runs[1] || runs[0] == [20]time.Duration{} {
		t.Errorf("one seed, and pauses of %v and %v", runs[0], runs[1])
	}
}

func linger(pause time.Duration) { <-time.NewTimer(pause).C }

// kill ends a part, and counts.
func (c *chaos) kill(p *part) {
	c.t.Helper()
	c.end(p)
	c.kills[p.kind]++
	away := 0
	for _, all := range c.parts {
		for _, other := range all {
			if other.process == nil {
				away++
			}
		}
	}
	c.away = max(c.away, away)
	if p.kind == aMember && c.serversAway() > chaosServers-chaosQuorum {
		c.unheard++
	}
}

// end is kill -9 of a part, and a look at what a member leaves on its disk.
func (c *chaos) end(p *part) {
	c.t.Helper()
	select {
	case <-p.process.ended:
		c.t.Errorf("%s ended by itself, with status %d", p.name, p.process.status)
	default:
	}
	p.process.kill()
	p.process = nil
	if p.kind == aMember {
		c.inspect(p)
	}
}

func (c *chaos) serversAway() (n int) {
	for _, s := range c.parts[aServer] {
		if s.process == nil {
			n++
		}
	}
	return n
}

// talk has members change their tags until it is told to stop.
func (c *chaos) talk() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := 1; ; n++ {
			select {
			case <-tick.C:
			case <-quit:
				return
			}
			p := c.parts[aMember][n%chaosMembers]
			body := fmt.Sprintf(`{"set":{%q:"%d"}}`, countTag, n)
			if err := postJSON(c.t.Context(), p.api+"/v1/tags", strings.NewReader(body)); err == nil {
				c.account.answered(p.name, n)
			}
		}
	}()
	return func() { close(quit); <-done }
}
