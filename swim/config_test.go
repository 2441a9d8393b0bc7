package swim

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestConfigRefuses: what cannot work is refused with the field, its value and the rule; nothing is clipped.
func TestConfigRefuses(t *testing.T) {
	for field, change := range map[string]func(*Config){
		"ID ":             func(c *Config) { c.ID = "a.b" },
		"ID \"\"":         func(c *Config) { c.ID = "" },
		"Addr":            func(c *Config) { c.Addr = netip.MustParseAddrPort("0.0.0.0:7946") },
		"Tags":            func(c *Config) { c.Tags = Tags{{"b", ""}, {"a", ""}} },
		"Incarnation":     func(c *Config) { c.Incarnation = IncarnationMax },
		"Strategy":        func(c *Config) { c.Strategy = RoundRobin + 1 },
		"Rings":           func(c *Config) { c.Rings = ringsMax + 1 },
		"IndirectProbes":  func(c *Config) { c.IndirectProbes = -1 },
		"GossipFanout":    func(c *Config) { c.GossipFanout = fanoutMax + 1 },
		"GossipFactor":    func(c *Config) { c.GossipFactor = 17 },
		"ProtocolPeriod":  func(c *Config) { c.ProtocolPeriod = time.Millisecond },
		"AckTimeoutMin":   func(c *Config) { c.AckTimeoutMin = time.Microsecond },
		"AckTimeout 10ms": func(c *Config) { c.AckTimeout = 10 * time.Millisecond },
		"AckTimeout 2s":   func(c *Config) { c.AckTimeout = 2 * time.Second },
		"IndirectTimeout": func(c *Config) { c.IndirectTimeout = time.Millisecond },
		"SuspicionMin":    func(c *Config) { c.SuspicionMin = 2 * time.Hour },
		"SuspicionMax":    func(c *Config) { c.SuspicionMax = time.Millisecond },
		"GossipInterval":  func(c *Config) { c.GossipInterval = time.Millisecond },
		"SyncInterval":    func(c *Config) { c.SyncInterval = time.Millisecond },
		"RetryInterval":   func(c *Config) { c.RetryInterval = -time.Second },
		"HealthInterval":  func(c *Config) { c.HealthInterval = time.Millisecond },
		"PartitionGrace":  func(c *Config) { c.PartitionGrace = 2 * time.Hour },
	} {
		cfg := Config{ID: "n1", Addr: testAddr(1)}
		if err := cfg.Validate(); err != nil {
			t.Fatalf("the defaults: %v", err)
		}
		change(&cfg)
		err := cfg.Validate()
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
		if _, refused := New(cfg, testEpoch); refused == nil {
			t.Errorf("%s: New accepted it", field)
		}
	}
}

// TestDefaults: what a member does that is told nothing is a contract, in numbers; so are the bounds that no setting changes.
func TestDefaults(t *testing.T) {
	id, addr := ID("n1"), testAddr(1)
	want := Config{
		ID: id, Addr: addr, Incarnation: 1,
		// Requirements 1.5.
		ProtocolPeriod: 1000 * time.Millisecond, IndirectProbes: 3, AckTimeout: 500 * time.Millisecond, IndirectTimeout: 1000 * time.Millisecond,
		// Detection rules 1, 3, 6, 9 and 10.
		Strategy: RingObservers, Rings: 8, AckTimeoutMin: 50 * time.Millisecond, SuspicionMin: 1000 * time.Millisecond,
		GossipInterval: 200 * time.Millisecond, GossipFanout: 3, GossipFactor: 3, RetryInterval: 5000 * time.Millisecond,
		// Requirements 1.10 to 1.12.
		HealthInterval: 5000 * time.Millisecond, PartitionGrace: 5000 * time.Millisecond, SyncInterval: 60_000 * time.Millisecond,
	}
	if got := (Config{ID: id, Addr: addr}).withDefaults(); !reflect.DeepEqual(got, want) {
		t.Errorf("told nothing, a member takes\n%+v, want\n%+v", got, want)
	}
	for name, c := range map[string][2]int{
		"1.3: updates a block":              {UpdatesMax, 20},
		"1.3: bytes of a block":             {UpdateBytesMax, 4096},
		"1.9: φ of a report":                {PhiThreshold, 8},
		"1.14: milliseconds of a departure": {int(LeaveWait.Milliseconds()), 5000},
	} {
		if c[0] != c[1] {
			t.Errorf("requirements %s: %d, want %d", name, c[0], c[1])
		}
	}
}

func TestTags(t *testing.T) {
	tags := NewTags(map[string]string{"zone": "a", "role": "db"})
	if got := fmt.Sprint(tags); got != "[{role db} {zone a}]" {
		t.Errorf("tags %s", got)
	}
	if v, ok := tags.Get("zone"); v != "a" || !ok {
		t.Errorf("zone is %q, %v", v, ok)
	}
	if _, ok := tags.Get("rack"); ok {
		t.Error("there is no rack")
	}
	if !tags.Equal(NewTags(tags.Map())) || tags.Equal(tags[:1]) || NewTags(nil) != nil || Tags(nil).Map() != nil {
		t.Error("Map and NewTags are not inverse")
	}
	for name, bad := range map[string]Tags{
		"no key":       {{"", "v"}},
		"long key":     {{strings.Repeat("k", TagKeyMax+1), ""}},
		"long value":   {{"k", strings.Repeat("v", TagValueMax+1)}},
		"falling keys": {{"b", ""}, {"a", ""}},
		"a key twice":  {{"a", ""}, {"a", ""}},
		"many":         make(Tags, TagsMax+1),
		"large":        {{"a", strings.Repeat("v", 256)}, {"b", strings.Repeat("v", 256)}},
	} {
		if bad.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
