package recorder_test

import (
	"errors"
	"maps"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/events/recorder"
	"rollcall/swim"
)

// What a member learned from others is theirs to put on record (I3).
func TestRecordsOnlyItsOwn(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := start(t, log, "m0")
		learned := suspected("v")
		learned.Own = false
		m.record(learned)
		if n := m.box.Len(); n != 0 {
			t.Errorf("%d events kept, want none", n)
		}
	})
}

// One transition that no log would take does not keep the others out.
func TestInvalidTransition(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := start(t, log, "m0")
		err := m.Record(joined("m0"), suspected("m0"), own(swim.TransitionRefuted, "m0", 2))
		if !errors.Is(err, events.ErrInvalid) {
			t.Errorf("Record: %v, want %v", err, events.ErrInvalid)
		}
		m.drained()
		if n, _ := m.Node("m0"); n.Incarnation != 2 {
			t.Errorf("m0 is at incarnation %d, want 2", n.Incarnation)
		}
	})
}

func TestEventOfTransition(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		inject(t, log, events.Joined, "v", "v", 1)
		inject(t, log, events.Joined, "r", "r", 1)
		now := time.Now().UTC()
		m := start(t, log, "m0")
		m.record(swim.Transition{
			Kind: swim.TransitionJoined, Own: true, Subject: "m0", Incarnation: 1, At: now,
			Addr: netip.MustParseAddrPort("[::1]:7946"), Tags: swim.Tags{{Key: "role", Value: "worker"}, {Key: "zone", Value: "a"}},
		}, swim.Transition{
			Kind: swim.TransitionSuspected, Own: true, Subject: "v", Incarnation: 1, At: now,
			Evidence: swim.Evidence{
				Reason: "probe timeout", Probes: 3, Timeout: 250 * time.Millisecond, RTT: 1500 * time.Microsecond, LastHeard: now,
				LocalHealth: 2, Relays: []swim.RelayAnswer{{ID: "r", Answer: swim.Nacked}, {ID: "s", Answer: swim.Silent}},
			},
		})
		m.drained()
		me, _ := m.Node("m0")
		if me.Address != "[::1]:7946" || !maps.Equal(me.Tags, map[string]string{"role": "worker", "zone": "a"}) {
			t.Errorf("joined at %q with %v", me.Address, me.Tags)
		}
		all := history(t, log)
		rec := all[len(all)-1]
		got, err := events.ParseEvidence(rec.Evidence)
		want := events.Evidence{
			Reason: "probe timeout", Probes: 3, TimeoutMS: 250, RTTMS: 1.5, LastHeard: &now, LocalHealth: 2,
			Relays: []events.Relay{{ID: "r", Answer: "nack"}, {ID: "s", Answer: "silent"}},
		}
		if err != nil || !reflect.DeepEqual(got, want) || !rec.Time.Equal(now) || rec.Author != "m0" {
			t.Errorf("recorded %+v\nevidence %+v, %v\nwant %+v", rec.Event, got, err, want)
		}
	})
}

// The largest evidence that a core could hand over still fits an event (I15).
func TestEvidenceIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := start(t, log, "m0")
		tr := failed("v")
		for range 1000 {
			id := swim.ID(strings.Repeat("x", swim.IDMax))
			tr.Evidence.Accusers = append(tr.Evidence.Accusers, swim.Accuser{ID: id, At: time.Now(), Implicit: true})
			tr.Evidence.Relays = append(tr.Evidence.Relays, swim.RelayAnswer{ID: id})
		}
		m.record(tr)
	})
}

func TestNewRefusesWhatIsMissing(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := start(t, log, "m0")
		whole := recorder.Config{Cluster: cluster, Self: "m0", Log: log, Outbox: m.box}
		for name, spoil := range map[string]func(*recorder.Config){
			"cluster": func(c *recorder.Config) { c.Cluster = "a.b" },
			"self":    func(c *recorder.Config) { c.Self = "" },
			"log":     func(c *recorder.Config) { c.Log = nil },
			"outbox":  func(c *recorder.Config) { c.Outbox = nil },
		} {
			cfg := whole
			spoil(&cfg)
			if _, err := recorder.New(cfg); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("without a valid %s: %v", name, err)
			}
		}
	})
}
