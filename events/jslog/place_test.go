package jslog

import (
	"testing"

	"github.com/nats-io/nats.go"
)

func TestPlaceOf(t *testing.T) {
	const numbers = "1.4711.12.1772366400000000001.3"
	want := place{sequence: 4711, nth: 12, stored: 1772366400000000001, pending: 3}
	for reply, good := range map[string]bool{
		"$JS.ACK.ROLLCALL_default.rollcall-ABC." + numbers:              true,
		"$JS.ACK._.ACCOUNT.ROLLCALL_default.c." + numbers:               true,
		"$JS.ACK.hub.ACCOUNT.ROLLCALL_default.c." + numbers + ".random": true,
		"$JS.ACK.hub.ACCOUNT.ROLLCALL_default.c." + numbers + ".r.more": true,
		"":                                   false,
		"_INBOX.a.b.c.d.e.f.g.h":             false,
		"$JS.ACK.ROLLCALL_default.c.1.2.3.4": false, // a word is missing
		"$JS.ACK.ACCOUNT.ROLLCALL_default.c." + numbers:            false, // one too many for the first form
		"$JS.ACK.ROLLCALL_default.c.1.2.x.4.5":                     false,
		"$JS.ACK.ROLLCALL_default.c.1..3.4.5":                      false,
		"$JS.ACK.ROLLCALL_default.c.1.-2.3.4.5":                    false,
		"$JS.ACK.ROLLCALL_default.c.1.2.3.9223372036854775808.5":   false,
		"$JS.ACK.ROLLCALL_default.c.1.2.3.111111111111111111111.5": false,
	} {
		at, ok := placeOf(reply)
		if ok != good || ok && at != want {
			t.Errorf("%q: %+v, %t", reply, at, ok)
		}
	}
}

// What is a place for us is one for nats.go, and the same.
func FuzzPlaceOf(f *testing.F) {
	f.Add("$JS.ACK.ROLLCALL_default.rollcall-ABC.1.4711.12.1772366400000000001.3")
	f.Add("$JS.ACK.hub.ACCOUNT.ROLLCALL_default.c.1.4711.12.1772366400000000001.3.random")
	f.Add("$JS.ACK.s.c.1.2.3.4.05")
	f.Fuzz(func(t *testing.T, reply string) {
		at, ok := placeOf(reply)
		meta, err := (&nats.Msg{Reply: reply, Sub: &nats.Subscription{}}).Metadata()
		if !ok { // nats.go makes something of numbers that are none
			return
		}
		if err != nil {
			t.Fatalf("%q: %+v, and nats.go says %v", reply, at, err)
		}
		if got := (place{meta.Sequence.Stream, meta.Sequence.Consumer, meta.Timestamp.UnixNano(), meta.NumPending}); got != at {
			t.Errorf("%q: %+v, and nats.go says %+v", reply, at, got)
		}
	})
}
