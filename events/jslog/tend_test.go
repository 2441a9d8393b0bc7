package jslog_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/jslog"
)

// altered is a log in use, looked at so often, whose stream is then set so that it forgets, and what sets it right again.
func altered(t *testing.T, every time.Duration, use func(log *jslog.Log)) (log *jslog.Log, mend func()) {
	t.Helper()
	good, js, cfg := made(t)
	log = connect(t, jslog.Inspecting(cfg, every))
	mustAppend(t, log, event(events.Joined, "n1"), 0)
	use(log)
	set := func(c jetstream.StreamConfig) {
		t.Helper()
		if _, err := js.UpdateStream(bounded(t), c); err != nil {
			t.Fatal(err)
		}
	}
	bad := good
	bad.MaxAge, bad.Discard, bad.MaxMsgs = 5*time.Minute, jetstream.DiscardOld, 2
	set(bad)
	return log, func() { t.Helper(); set(good) }
}

// I1: a stream that is altered under a live connection is found out without anybody reconnecting, and not used any longer.
func TestDriftUnderLiveConnection(t *testing.T) {
	var all, some *feed
	log, mend := altered(t, 100*time.Millisecond, func(log *jslog.Log) {
		all = follow(t, log, events.Filter{}, events.From{})
		some = follow(t, log, events.Filter{Node: "n1"}, events.From{})
		all.want(t, 1)
		some.want(t, 1)
	})
	eventually(t, "the drift is noticed", func() bool { return errors.Is(log.Status().Err, jslog.ErrDrift) })
	if _, err := log.Append(bounded(t), event(events.Left, "n1"), 1); !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("append to a stream that forgets: %v; want ErrUnavailable", err)
	}
	all.wantLast(t, jslog.ErrDrift)
	some.wantLast(t, jslog.ErrDrift)
	mend()
	eventually(t, "the log is used again", log.Connected)
	mustAppend(t, log, event(events.Left, "n1"), 1)
}

// A reader that begins sees the drift first, and the log is not used from that moment on.
func TestReaderNoticesDrift(t *testing.T) {
	log, _ := altered(t, time.Hour, func(*jslog.Log) {})
	follow(t, log, events.Filter{}, events.From{}).wantLast(t, jslog.ErrDrift)
	if log.Connected() {
		t.Error("the log counts as ready though its reader found the stream altered")
	}
}

// A stream that is deleted is missed by a log that nobody uses.
func TestDeletedStreamIsMissed(t *testing.T) {
	_, js, cfg := made(t)
	log := connect(t, jslog.Inspecting(cfg, 100*time.Millisecond))
	if err := js.DeleteStream(bounded(t), events.StreamName(cluster)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log is found to be gone", func() bool { return errors.Is(log.Status().Err, events.ErrNotFound) })
}
