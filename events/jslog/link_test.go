package jslog

import (
	"errors"
	"testing"

	"rollcall/events"
)

// What is in flight ends when its own subject is denied, or the inbox, where its answer would arrive; that somebody who uses
// the connection too may not listen somewhere else ends nothing.
func TestDeniedEndsWhatItConcerns(t *testing.T) {
	for _, tc := range []struct {
		denial string
		ends   bool
	}{
		{`nats: permissions violation for subscription to "$SRV.PING"`, false},
		{`nats: permissions violation for subscription to "_INBOX.n10.>"`, false},
		{`nats: permissions violation for subscription to "_INBOX.n1.>"`, true},
		{`nats: Permissions Violation for Subscription to "_INBOX.n1.X.*"`, true},
		{`nats: permissions violation for publish to "rollcall.test.node.n2.n1.left"`, false},
		{`nats: permissions violation for publish to "rollcall.test.node.n1.n1.left"`, true},
	} {
		k := newLink()
		k.up()
		bound, release := k.bind(t.Context(), "rollcall.test.node.n1.n1.left")
		k.denied("_INBOX.n1", errors.New(tc.denial))
		if ended := bound.Err() != nil; ended != tc.ends {
			t.Errorf("%s: ended %v", tc.denial, ended)
		} else if ended && !errors.Is(failure(bound, bound.Err()), events.ErrDenied) {
			t.Errorf("%s: %v, want ErrDenied", tc.denial, failure(bound, bound.Err()))
		}
		release()
	}
}
