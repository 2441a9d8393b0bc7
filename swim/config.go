package swim

import (
	"fmt"
	"math"
	"net/netip"
	"time"
)

// Strategy says whom a member probes, and when.
type Strategy uint8

// The strategies.
const (
	// RingObservers gives each member a fixed set of targets, its successors on pseudo-random rings; each target spaces
	// its observers' probes evenly.
	RingObservers Strategy = iota
	// RoundRobin is SWIM's own: one target a period, through a shuffled list of all (SWIM, section 4.3). It has no edges with a
	// rhythm, so there is no φ and no failed health check; and above 2·Rings + 1 members nobody is silent evidence against another.
	RoundRobin
)

// Config of a Node. Zero fields take the default named beside them; [Config.Validate] refuses what cannot work and
// changes nothing.
type Config struct {
	ID          ID             // required
	Addr        netip.AddrPort // required: where other members reach this one
	Tags        Tags           // sorted by key
	Incarnation uint64         // the first to claim; 0 means 1
	Seed        uint64         // of all randomness

	Strategy        Strategy
	Rings           int           // 8; number of observers a member has, about; 1 to 16
	ProtocolPeriod  time.Duration // 1 s; each member sends one regular probe a period
	AckTimeout      time.Duration // 500 ms; longest wait for an ack, shorter once the round trip is known
	AckTimeoutMin   time.Duration // 50 ms; shortest wait for an ack
	IndirectTimeout time.Duration // 1 s; longest wait for the relays of an indirect probe
	IndirectProbes  int           // 3; relays asked when a ping was missed; 1 to 8
	SuspicionMin    time.Duration // 1 s; suspicion time with many accusers
	SuspicionMax    time.Duration // suspicion time of a lone accusation; 0: 4·log10(n) periods, 4 s at least
	GossipInterval  time.Duration // 200 ms; between rounds while there is something to say
	GossipFanout    int           // 3; members a round; 1 to 16
	GossipFactor    int           // 3; λ: an update is sent λ·⌈log2(n+1)⌉ times; 1 to 16
	SyncInterval    time.Duration // 60 s; between comparisons with a random member; views are exchanged where digests differ
	RetryInterval   time.Duration // 5 s; in each, the whole cluster together tries about three failed members again
	HealthInterval  time.Duration // 5 s; between looks at the silence of observed members; RoundRobin has none
	PartitionGrace  time.Duration // 5 s; how long a third of the members must be missing to count as a partition
	MinorityMute    bool          // on the minority side of a partition, accuse and convict nobody
	NoLocalHealth   bool          // hold oneself well whatever happens: without Lifeguard's local health, for comparison
}

// Defaults, by the field they stand for.
const (
	RingsDefault           = 8
	ProtocolPeriodDefault  = time.Second
	AckTimeoutDefault      = 500 * time.Millisecond
	AckTimeoutMinDefault   = 50 * time.Millisecond
	IndirectTimeoutDefault = time.Second
	IndirectProbesDefault  = 3
	SuspicionMinDefault    = time.Second
	GossipIntervalDefault  = 200 * time.Millisecond
	GossipFanoutDefault    = 3
	GossipFactorDefault    = 3
	SyncIntervalDefault    = time.Minute
	RetryIntervalDefault   = 5 * time.Second
	HealthIntervalDefault  = 5 * time.Second
	PartitionGraceDefault  = 5 * time.Second
)

// IncarnationMax is the highest incarnation a member may reach. A claim at or above it is refused, so that a raise never
// wraps.
const IncarnationMax = math.MaxUint64 - 1

// withDefaults fills zero fields.
func (c Config) withDefaults() Config {
	setInt := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	setDuration := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	if c.Incarnation == 0 {
		c.Incarnation = 1
	}
	setInt(&c.Rings, RingsDefault)
	setInt(&c.IndirectProbes, IndirectProbesDefault)
	setInt(&c.GossipFanout, GossipFanoutDefault)
	setInt(&c.GossipFactor, GossipFactorDefault)
	setDuration(&c.ProtocolPeriod, ProtocolPeriodDefault)
	setDuration(&c.AckTimeout, AckTimeoutDefault)
	setDuration(&c.AckTimeoutMin, AckTimeoutMinDefault)
	setDuration(&c.IndirectTimeout, IndirectTimeoutDefault)
	setDuration(&c.SuspicionMin, SuspicionMinDefault)
	setDuration(&c.GossipInterval, GossipIntervalDefault)
	setDuration(&c.SyncInterval, SyncIntervalDefault)
	setDuration(&c.RetryInterval, RetryIntervalDefault)
	setDuration(&c.HealthInterval, HealthIntervalDefault)
	setDuration(&c.PartitionGrace, PartitionGraceDefault)
	return c
}

// Validate reports the first field that cannot work, with its value and the rule, after defaults.
func (c Config) Validate() error {
	c = c.withDefaults()
	if !c.ID.Valid() {
		return fmt.Errorf("swim: ID %q: want 1 to %d of A-Z a-z 0-9 _ -", c.ID, IDMax)
	}
	if !c.Addr.IsValid() || c.Addr.Port() == 0 || c.Addr.Addr().IsUnspecified() {
		return fmt.Errorf("swim: Addr %v: want an address and port that other members can reach", c.Addr)
	}
	if err := c.Tags.Validate(); err != nil {
		return fmt.Errorf("swim: Tags: %w", err)
	}
	if c.Incarnation >= IncarnationMax {
		return fmt.Errorf("swim: Incarnation %d: the highest is %d", c.Incarnation, uint64(IncarnationMax-1))
	}
	if c.Strategy > RoundRobin {
		return fmt.Errorf("swim: Strategy %d: want RingObservers or RoundRobin", c.Strategy)
	}
	for _, f := range []struct {
		name    string
		v, high int
	}{
		{"Rings", c.Rings, ringsMax},
		{"IndirectProbes", c.IndirectProbes, relaysMax},
		{"GossipFanout", c.GossipFanout, fanoutMax},
		{"GossipFactor", c.GossipFactor, 16},
	} {
		if f.v < 1 || f.v > f.high {
			return fmt.Errorf("swim: %s %d: want 1 to %d", f.name, f.v, f.high)
		}
	}
	return c.validateTimes()
}

func (c Config) validateTimes() error {
	for _, f := range []struct {
		name   string
		v, low time.Duration
	}{
		{"ProtocolPeriod", c.ProtocolPeriod, 10 * time.Millisecond},
		{"AckTimeoutMin", c.AckTimeoutMin, time.Millisecond},
		{"AckTimeout", c.AckTimeout, c.AckTimeoutMin},
		{"IndirectTimeout", c.IndirectTimeout, c.AckTimeoutMin},
		{"SuspicionMin", c.SuspicionMin, c.AckTimeoutMin},
		{"GossipInterval", c.GossipInterval, gossipSpacing},
		{"SyncInterval", c.SyncInterval, c.ProtocolPeriod},
		{"RetryInterval", c.RetryInterval, c.ProtocolPeriod},
		{"HealthInterval", c.HealthInterval, c.ProtocolPeriod},
		{"PartitionGrace", c.PartitionGrace, c.ProtocolPeriod},
	} {
		if f.v < f.low || f.v > time.Hour {
			return fmt.Errorf("swim: %s %v: want %v to %v", f.name, f.v, f.low, time.Hour)
		}
	}
	if c.SuspicionMax != 0 && (c.SuspicionMax < c.SuspicionMin || c.SuspicionMax > time.Hour) {
		return fmt.Errorf("swim: SuspicionMax %v: want SuspicionMin %v to %v, or 0", c.SuspicionMax, c.SuspicionMin, time.Hour)
	}
	if c.AckTimeout > c.ProtocolPeriod {
		return fmt.Errorf("swim: AckTimeout %v: want at most ProtocolPeriod %v", c.AckTimeout, c.ProtocolPeriod)
	}
	return nil
}
