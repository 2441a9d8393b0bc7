package swim

import (
	"fmt"
	"net/netip"
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
