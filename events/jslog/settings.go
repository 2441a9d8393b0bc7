package jslog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// ErrDrift says that a stream is not set as a log must be. The error names each setting, what it is, what it must be and
// why. Once that is known, which takes some seconds where the setting is changed while the log is in use, nothing is written to
// such a stream and nothing read from it; change the setting, or move the stream away.
var ErrDrift = errors.New("the stream is not set as a log must be")

const (
	// duplicateWindow is how long the server remembers message ids. The expectation guards an append for ever; the id
	// only lets a retry be told so without a read.
	duplicateWindow = 2 * time.Minute
	// messageMax is an encoded event with its headers, which are about 400 bytes.
	messageMax = events.BodyMax + 4<<10
	// livePrefix is put before the subject of each stored event for those who want to hear of it without a consumer.
	livePrefix = "live."
)

// settings is the stream as it is made: every setting that could lose history is stated, whatever a server's default.
func settings(cluster string, replicas int) jetstream.StreamConfig {
	all := events.ClusterFilter(cluster)
	return jetstream.StreamConfig{
		Name:              events.StreamName(cluster),
		Description:       "rollcall: what happened in cluster " + cluster,
		Subjects:          []string{all},
		Storage:           jetstream.FileStorage,
		Replicas:          replicas,
		Retention:         jetstream.LimitsPolicy,
		Discard:           jetstream.DiscardNew,
		MaxAge:            0,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgsPerSubject: -1,
		MaxConsumers:      -1,
		MaxMsgSize:        messageMax,
		Duplicates:        duplicateWindow,
		DenyDelete:        true,
		DenyPurge:         true,
		AllowDirect:       true,
		Compression:       jetstream.NoCompression,
		RePublish:         &jetstream.RePublish{Source: all, Destination: livePrefix + all},
		PersistMode:       jetstream.DefaultPersistMode,
	}
}

// rule is one setting that a stream must have. Settings without a rule are the operator's: description, metadata,
// placement, and limits in messages or bytes, which with "discard new" refuse the new and keep the old.
type rule struct {
	setting string
	is      func(jetstream.StreamConfig) any
	ok      func(jetstream.StreamConfig) bool
	must    string // what it must be, and why
}

// rules are those for the stream of a cluster.
func rules(cluster string, replicas int) []rule {
	type config = jetstream.StreamConfig
	all := events.ClusterFilter(cluster)
	live := livePrefix + all
	off := func(setting string, get func(config) bool, why string) rule {
		return rule{setting, func(c config) any { return get(c) }, func(c config) bool { return !get(c) }, "false: " + why}
	}
	on := func(setting string, get func(config) bool, why string) rule {
		return rule{setting, func(c config) any { return get(c) }, get, "true: " + why}
	}
	return []rule{
		{"subjects", func(c config) any { return c.Subjects },
			func(c config) bool { return slices.Equal(c.Subjects, []string{all}) }, "[" + all + "]: nothing else is the log's"},
		{"storage", func(c config) any { return c.Storage },
			func(c config) bool { return c.Storage == jetstream.FileStorage }, "file: memory ends with the server"},
		{"retention", func(c config) any { return c.Retention },
			func(c config) bool { return c.Retention == jetstream.LimitsPolicy }, "limits: others delete what was read"},
		{"discard", func(c config) any { return c.Discard },
			func(c config) bool { return c.Discard == jetstream.DiscardNew }, "new: a full log must not drop its beginning"},
		{"max_age", func(c config) any { return c.MaxAge },
			func(c config) bool { return c.MaxAge == 0 }, "0: events would expire"},
		{"max_msgs_per_subject", func(c config) any { return c.MaxMsgsPerSubject },
			func(c config) bool { return c.MaxMsgsPerSubject <= 0 }, "unlimited: a node's history would be cut"},
		{"max_msg_size", func(c config) any { return c.MaxMsgSize },
			func(c config) bool { return c.MaxMsgSize <= 0 || c.MaxMsgSize >= messageMax },
			fmt.Sprintf("%d or more: a legal event would be refused", messageMax)},
		{"num_replicas", func(c config) any { return c.Replicas },
			func(c config) bool { return c.Replicas >= replicas }, fmt.Sprintf("%d or more, as configured", replicas)},
		{"duplicate_window", func(c config) any { return c.Duplicates },
			func(c config) bool { return c.Duplicates >= duplicateWindow }, "2m or more: retries are recognized by it"},
		{"republish", func(c config) any { return republish(c.RePublish) },
			func(c config) bool { return republish(c.RePublish) == all+" to "+live }, all + " to " + live + ": readers listen there"},
		{"persist_mode", func(c config) any { return c.PersistMode },
			func(c config) bool { return c.PersistMode == jetstream.DefaultPersistMode },
			"default: async acknowledges what is not on disk, whatever the server's sync_interval"},
		{"compression", func(c config) any { return c.Compression },
			func(c config) bool { return c.Compression == jetstream.NoCompression },
			"none: a server that starts again may write on in a block that it has compressed, and cannot read the stream after that"},
		{"first_seq", func(c config) any { return c.FirstSeq },
			func(c config) bool { return c.FirstSeq <= 1 }, "1: a log starts at its beginning"},
		{"mirror", func(c config) any { return c.Mirror != nil },
			func(c config) bool { return c.Mirror == nil }, "absent: a mirror takes no appends"},
		{"sources", func(c config) any { return len(c.Sources) },
			func(c config) bool { return len(c.Sources) == 0 }, "absent: what they bring obeys no expectation"},
		{"subject_transform", func(c config) any { return c.SubjectTransform != nil },
			func(c config) bool { return c.SubjectTransform == nil }, "absent: subjects say who spoke"},
		on("deny_delete", func(c config) bool { return c.DenyDelete }, "events could be deleted"),
		on("deny_purge", func(c config) bool { return c.DenyPurge }, "the log could be purged"),
		on("allow_direct", func(c config) bool { return c.AllowDirect }, "views read nodes through it"),
		off("discard_new_per_subject", func(c config) bool { return c.DiscardNewPerSubject }, "it limits by subject"),
		off("sealed", func(c config) bool { return c.Sealed }, "it takes no appends"),
		off("no_ack", func(c config) bool { return c.NoAck }, "an append must be acknowledged"),
		off("allow_rollup_hdrs", func(c config) bool { return c.AllowRollup }, "one message could purge a subject"),
		off("allow_msg_ttl", func(c config) bool { return c.AllowMsgTTL || c.SubjectDeleteMarkerTTL != 0 }, "events could expire"),
		off("allow_msg_schedules", func(c config) bool { return c.AllowMsgSchedules },
			"a member could write under another's subject"),
		off("allow_msg_counter", func(c config) bool { return c.AllowMsgCounter }, "bodies are not counters"),
		off("allow_atomic", func(c config) bool { return c.AllowAtomicPublish }, "open batches of one member starve the others"),
		off("allow_batched", func(c config) bool { return c.AllowBatchPublish }, "open batches of one member starve the others"),
	}
}

func republish(r *jetstream.RePublish) string {
	switch {
	case r == nil:
		return "absent"
	case r.HeadersOnly:
		return r.Source + " to " + r.Destination + ", headers only"
	default:
		return r.Source + " to " + r.Destination
	}
}

// compare returns nil when a stream is set as the log of cluster must be, and otherwise an ErrDrift that names all that
// is not.
func compare(found jetstream.StreamConfig, cluster string, replicas int) error {
	var drift []string
	for _, r := range rules(cluster, replicas) {
		if !r.ok(found) {
			drift = append(drift, fmt.Sprintf("%s is %v, must be %s", r.setting, r.is(found), r.must))
		}
	}
	if drift == nil {
		return nil
	}
	return fmt.Errorf("stream %s: %w: %s", found.Name, ErrDrift, strings.Join(drift, "; "))
}

// Provision makes the stream if it is not there, and compares it if it is. A stream that is there is never changed. It
// fails as [Connect] does.
func (l *Log) Provision(ctx context.Context) error {
	k := l.connection()
	if k == nil {
		return fmt.Errorf("provision stream %s: %w", l.stream, errAway)
	}
	if _, err := l.provision(ctx, k); err != nil {
		return fmt.Errorf("provision: %w", err)
	}
	l.nudge()
	return nil
}

// inspect looks at the stream on behalf of tend, and makes it if that is configured. A stream that was there once is not
// made again: that somebody deleted it is for people to see, not for this process to cover up with an empty one.
func (l *Log) inspect(ctx context.Context, k *link, found bool) (*jetstream.StreamInfo, error) {
	if l.cfg.Provision && !found {
		return l.provision(ctx, k)
	}
	info, err := l.streamInfo(ctx, k)
	switch {
	case code(err) != jetstream.JSErrCodeStreamNotFound:
		return l.compared(info, err)
	case found:
		return nil, fmt.Errorf("stream %s: %w: it was there and is gone", l.stream, events.ErrNotFound)
	default:
		return nil, fmt.Errorf("stream %s: %w: it is not there, and it is not for this process to make", l.stream, events.ErrNotFound)
	}
}

func (l *Log) provision(ctx context.Context, k *link) (*jetstream.StreamInfo, error) {
	info, err := l.streamInfo(ctx, k)
	if code(err) == jetstream.JSErrCodeStreamNotFound {
		info = new(jetstream.StreamInfo)
		replicas := cmp.Or(l.cfg.Replicas, ReplicasFor(k.nc))
		if err = l.call(ctx, k, apiStreamCreate+l.stream, settings(l.cfg.Cluster, replicas), info); err != nil {
			err = fmt.Errorf("make it with %d replicas: %w", replicas, err)
			if c := code(err); c == codeNoPeers || c == codeNotClustered {
				err = fmt.Errorf("%w: start as many servers, or ask for fewer replicas", err)
			}
		}
		if code(err) == jetstream.JSErrCodeStreamNameInUse { // somebody was faster
			info, err = l.streamInfo(ctx, k)
		}
	}
	return l.compared(info, err)
}

// replicasUsual is how many copies there are on servers that form a cluster when nobody says: as few as survive the loss of a
// server and still agree.
const replicasUsual = 3

// ReplicasFor is how many copies there are of what is made through nc when nobody says: 3 where the server at the other end is
// one of a cluster, else 1. A cluster of fewer than three, which may be one that is still starting, refuses it: what is made
// stays as it is, so there is no going on with less unasked.
func ReplicasFor(nc *nats.Conn) int {
	if nc.ConnectedClusterName() != "" {
		return replicasUsual
	}
	return 1
}

// compared is info, or why a stream with it cannot be used; err is that of asking for it.
func (l *Log) compared(info *jetstream.StreamInfo, err error) (*jetstream.StreamInfo, error) {
	if code(err) != 0 {
		err = fmt.Errorf("%w: %w", events.ErrUnavailable, err)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", l.stream, err)
	}
	return info, compare(info.Config, l.cfg.Cluster, l.cfg.Replicas)
}
