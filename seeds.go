package rollcall

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"rollcall/swim/agent"
)

const (
	// seedInterval is how often a seed is asked again that is not among the live members.
	seedInterval = 10 * time.Second
	// joinPauseMin and joinPauseMax are the first pause and the longest between two rounds of asking the seeds.
	joinPauseMin = 100 * time.Millisecond
	joinPauseMax = 2 * time.Second
	// roundsAlone is how often seeds are asked that lead back to this member before it counts as alone: behind an address in front
	// of all members there may be another the next time. With the pauses between that takes about a second.
	roundsAlone = 4
	// lookupLimit is how long the names among the seeds are looked up in one round. What takes longer is left to the next.
	lookupLimit = 2 * time.Second
	// peersAsked is how many members are asked at a time to let this one in, of more some by chance; any one is enough.
	peersAsked = 16
)

// CheckSeed says what is wrong with a text as one of Options.Seeds; nil if nothing is. It looks up no name.
func CheckSeed(text string) error {
	_, err := parseSeed(text)
	return err
}

// seed is one of Options.Seeds.
type seed struct {
	text    string
	host    string     // a name, if addr is not valid
	addr    netip.Addr // otherwise
	port    uint16
	unknown bool // the name led nowhere when it was last looked up
}

func parseSeed(text string) (seed, error) {
	host, port, err := net.SplitHostPort(text)
	number, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || bad != nil || host == "" || number == 0 {
		return seed{}, fmt.Errorf("%q: want HOST:PORT, with a name or an address and a port of 1 to 65535", text)
	}
	addr, _ := netip.ParseAddr(host) // or it is a name
	return seed{text: text, host: host, addr: addr.Unmap(), port: uint16(number)}, nil
}

// seeds finds out where the members to join through are. Names are looked up in every round: whom they stand for changes,
// and whoever knows them may start later than this member. Rounds are one goroutine's at a time.
type seeds struct {
	all     []seed
	own     []netip.AddrPort // this member's: everybody may be given the same list
	network string           // "ip4" where the socket reaches no other addresses
	lookup  func(ctx context.Context, network, host string) ([]netip.Addr, error)
	log     *slog.Logger
}

// newSeeds takes options that were validated.
func newSeeds(opt Options, own []netip.AddrPort, log *slog.Logger) *seeds {
	s := &seeds{own: own, network: "ip", lookup: opt.Lookup, log: log}
	if opt.Bind.Addr().Unmap().Is4() {
		s.network = "ip4"
	}
	if s.lookup == nil {
		s.lookup = net.DefaultResolver.LookupNetIP
	}
	for _, text := range opt.Seeds {
		parsed, _ := parseSeed(text)
		s.all = append(s.all, parsed)
	}
	return s
}

// round returns the addresses of the seeds that are not this member's own, each once, and reports whether there may be
// others, because a name leads nowhere yet.
func (s *seeds) round(ctx context.Context) (addrs []netip.AddrPort, more bool) {
	found := make([][]netip.Addr, len(s.all))
	failed := make([]error, len(s.all))
	limited, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	var lookups sync.WaitGroup
	for i, seed := range s.all {
		if seed.addr.IsValid() {
			found[i] = []netip.Addr{seed.addr}
			continue
		}
		lookups.Go(func() { found[i], failed[i] = s.lookup(limited, s.network, seed.host) })
	}
	lookups.Wait()
	seen := make(map[netip.AddrPort]bool)
	for _, addr := range s.own {
		seen[addr] = true
	}
	for i, list := range found {
		s.note(ctx, &s.all[i], len(list) == 0, failed[i])
		more = more || len(list) == 0
		for _, a := range list {
			if addr := netip.AddrPortFrom(a.Unmap(), s.all[i].port); !seen[addr] {
				seen[addr] = true
				addrs = append(addrs, addr)
			}
		}
	}
	return addrs, more
}

// note logs a name that begins or ceases to lead nowhere.
func (s *seeds) note(ctx context.Context, seed *seed, unknown bool, err error) {
	switch {
	case unknown == seed.unknown || ctx.Err() != nil: // or the member ends
		return
	case unknown:
		s.log.Warn("a seed's name has no address; looking it up again and again", "seed", seed.text, "error", err)
	default:
		s.log.Info("a seed's name has an address now", "seed", seed.text)
	}
	seed.unknown = unknown
}

// some returns at most peersAsked of addrs, by chance.
func some(addrs []netip.AddrPort) []netip.AddrPort {
	if len(addrs) <= peersAsked {
		return addrs
	}
	addrs = slices.Clone(addrs)
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	return addrs[:peersAsked]
}

// joinSeeds asks the seeds, and when none answers also whom the log knows, until this member has met another. One without
// seeds but its own address asks once, and one whose seeds all lead back to it a few times; those that the log knows may all be
// gone, so it counts as joined whatever they answer.
func (m *Member) joinSeeds() {
	pause := joinPauseMin
	for back := 0; ; pause = min(2*pause, joinPauseMax) {
		ask, more := m.seeds.round(m.ctx)
		n, err := m.agent.Join(m.ctx, some(ask))
		alone := n == 0 && err == nil && !more
		if alone && len(ask) > 0 { // they led back
			back++
			alone = back == roundsAlone
		}
		if n == 0 {
			var fromLog error
			n, fromLog = m.agent.Join(m.ctx, m.peersFromLog())
			err = errors.Join(err, fromLog)
		}
		switch {
		case n > 0:
			m.log.Debug("joined", "answers", n)
		case errors.Is(err, agent.ErrClosed) || m.ctx.Err() != nil:
			return
		case err == nil: // there was nobody to ask
		case alone:
			m.log.Debug("no member that the log knows answered", "error", err)
		default:
			m.log.Warn("no seed answered; trying again", "error", err)
		}
		if alone {
			m.enter()
			m.keepSeeds()
			return
		}
		select {
		case <-m.agent.Met(): // through a seed, the log, or because another found this one
			m.keepSeeds()
			return
		case <-time.After(pause/2 + rand.N(pause)):
		case <-m.ctx.Done():
			return
		}
	}
}

// keepSeeds asks a seed again from time to time whose address no live member of the view has: after a partition in which
// everybody on either side was restarted, neither side knows the other even as failed.
func (m *Member) keepSeeds() {
	if len(m.opt.Seeds) == 0 {
		return
	}
	timer := time.NewTicker(seedInterval)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-m.ending:
			return
		}
		live := make(map[netip.AddrPort]bool)
		for _, member := range m.agent.Registry().All() {
			if member.State.Live() {
				live[member.Addr] = true
			}
		}
		missing, _ := m.seeds.round(m.ctx)
		missing = slices.DeleteFunc(missing, func(a netip.AddrPort) bool { return live[a] })
		if len(missing) > 0 {
			_, _ = m.agent.Join(m.ctx, missing[rand.N(len(missing)):][:1]) // there is a next time
		}
	}
}
