package jslog_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/jslog"
)

// made returns the settings of a stream that jslog made, as the server reports them, and a client beside it.
func made(t *testing.T) (jetstream.StreamConfig, jetstream.JetStream, jslog.Config) {
	t.Helper()
	srv := serve(t, t.TempDir(), "127.0.0.1:0")
	cfg := jslog.Config{URL: srv.URL(), Cluster: cluster}
	provisioning := cfg
	provisioning.Provision = true
	connect(t, provisioning).Close()
	_, js := plain(t, srv.URL())
	stream, err := js.Stream(bounded(t), events.StreamName(cluster))
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().Config, js, cfg
}

// Every setting that could lose history, or let somebody write what is not theirs to say, is found before the stream is
// used, and the error says which one it is.
func TestDriftIsRefused(t *testing.T) {
	good, js, cfg := made(t)
	for i, c := range []struct {
		setting string
		spoil   func(*jetstream.StreamConfig)
	}{
		{"subjects", func(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, "foreign.>") }},
		{"storage", func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }},
		{"retention", func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }},
		{"discard", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }},
		{"max_age", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }},
		{"max_msgs_per_subject", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 10 }},
		{"discard_new_per_subject", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject, c.DiscardNewPerSubject = 10, true }},
		{"max_msg_size", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1024 }},
		{"duplicate_window", func(c *jetstream.StreamConfig) { c.Duplicates = time.Second }},
		{"republish", func(c *jetstream.StreamConfig) { c.RePublish = nil }},
		{"republish", func(c *jetstream.StreamConfig) { c.RePublish.HeadersOnly = true }},
		{"persist_mode", func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode }},
		{"compression", func(c *jetstream.StreamConfig) { c.Compression = jetstream.S2Compression }},
		{"first_seq", func(c *jetstream.StreamConfig) { c.FirstSeq = 100 }},
		{"subject_transform", func(c *jetstream.StreamConfig) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: c.Subjects[0], Destination: "elsewhere.>"}
		}},
		{"sources", func(c *jetstream.StreamConfig) { c.Sources = []*jetstream.StreamSource{{Name: "OTHER"}} }},
		{"mirror", func(c *jetstream.StreamConfig) {
			c.Subjects, c.RePublish, c.Mirror = nil, nil, &jetstream.StreamSource{Name: "OTHER"}
		}},
		{"sealed", func(c *jetstream.StreamConfig) { c.Sealed = true }},
		{"deny_delete", func(c *jetstream.StreamConfig) { c.DenyDelete = false }},
		{"deny_purge", func(c *jetstream.StreamConfig) { c.DenyPurge = false }},
		{"allow_direct", func(c *jetstream.StreamConfig) { c.AllowDirect = false }},
		{"no_ack", func(c *jetstream.StreamConfig) { c.NoAck = true }},
		{"allow_rollup_hdrs", func(c *jetstream.StreamConfig) { c.AllowRollup, c.DenyPurge = true, false }},
		{"allow_msg_ttl", func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true }},
		{"allow_msg_schedules", func(c *jetstream.StreamConfig) { c.AllowMsgSchedules, c.Discard = true, jetstream.DiscardOld }},
		{"allow_msg_counter", func(c *jetstream.StreamConfig) { c.AllowMsgCounter, c.Discard = true, jetstream.DiscardOld }},
		{"allow_atomic", func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = true }},
		{"allow_batched", func(c *jetstream.StreamConfig) { c.AllowBatchPublish = true }},
	} {
		t.Run(c.setting, func(t *testing.T) {
			cfg.Cluster = fmt.Sprintf("drift-%d", i)
			like(t, js, good, cfg.Cluster, c.spoil)
			_, err := jslog.Connect(bounded(t), cfg)
			if !errors.Is(err, jslog.ErrDrift) || !strings.Contains(err.Error(), c.setting+" is ") {
				t.Errorf("Connect: %v; want ErrDrift that names %s", err, c.setting)
			}
		})
	}
}

// like makes the stream of another cluster with settings like good, spoilt.
func like(
	t *testing.T, js jetstream.JetStream, good jetstream.StreamConfig, cluster string, spoil func(*jetstream.StreamConfig),
) {
	t.Helper()
	all := events.ClusterFilter(cluster)
	bad := good
	bad.Name, bad.Subjects, bad.Metadata = events.StreamName(cluster), []string{all}, nil
	bad.RePublish = &jetstream.RePublish{Source: all, Destination: "live." + all}
	spoil(&bad)
	sealed := bad.Sealed
	bad.Sealed = false // a stream cannot be made sealed, only become it
	if _, err := js.CreateStream(bounded(t), bad); err != nil {
		t.Fatalf("make the stream: %v", err)
	}
	if sealed {
		bad.Sealed = true
		if _, err := js.UpdateStream(bounded(t), bad); err != nil {
			t.Fatalf("seal the stream: %v", err)
		}
	}
}

func TestReplicasAreAtLeastAsConfigured(t *testing.T) {
	_, _, cfg := made(t)
	cfg.Replicas = 3
	_, err := jslog.Connect(bounded(t), cfg)
	if !errors.Is(err, jslog.ErrDrift) || !strings.Contains(err.Error(), "num_replicas is 1, must be 3") {
		t.Errorf("Connect wanting 3 replicas: %v; want ErrDrift that says so", err)
	}
}

// What belongs to the operator is not ours to refuse: with "discard new" a limit refuses the new and keeps the old.
func TestOperatorsSettingsAreAccepted(t *testing.T) {
	good, js, cfg := made(t)
	cfg.Cluster = "other"
	like(t, js, good, cfg.Cluster, func(c *jetstream.StreamConfig) {
		c.Description, c.MaxMsgs, c.MaxBytes, c.MaxMsgSize = "ours", 1000, 1<<20, -1
		c.Duplicates, c.MaxConsumers = time.Hour, 100
		c.Metadata = map[string]string{"team": "sre"}
	})
	connect(t, cfg)
}

// A stream that is there is never changed, not even by who may make it.
func TestProvisionChangesNothing(t *testing.T) {
	good, js, cfg := made(t)
	cfg.Cluster = "other"
	like(t, js, good, cfg.Cluster, func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour })
	cfg.Provision = true
	if _, err := jslog.Connect(bounded(t), cfg); !errors.Is(err, jslog.ErrDrift) {
		t.Errorf("Connect that may provision: %v; want ErrDrift", err)
	}
	stream, err := js.Stream(bounded(t), events.StreamName(cfg.Cluster))
	if err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo().Config.MaxAge; got != time.Hour {
		t.Errorf("max_age is %v now, want 1h as it was", got)
	}
}

func TestProvision(t *testing.T) {
	srv := serve(t, t.TempDir(), "127.0.0.1:0")
	if _, err := jslog.Connect(bounded(t), jslog.Config{URL: srv.URL(), Cluster: cluster}); !errors.Is(err, events.ErrNotFound) {
		t.Errorf("Connect without a stream: %v; want ErrNotFound", err)
	}
	log := connect(t, jslog.Config{URL: srv.URL(), Cluster: cluster, Lazy: true})
	eventually(t, "a connection", func() bool { return log.Status().Connected })
	if _, err := log.Append(bounded(t), event(events.Joined, "n1"), 0); !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("append without a stream: %v; want ErrUnavailable", err)
	}
	for range 2 {
		if err := log.Provision(bounded(t)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the log is ready", log.Connected)
	mustAppend(t, log, event(events.Joined, "n1"), 0)
}
