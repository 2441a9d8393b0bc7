package httpapi

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/events"
	"rollcall/projections"
)

// A node in a list is written as encoding/json writes it, whatever anybody called himself.
func TestAppendNodeIsWhatJSONMakesOfIt(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	text := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.RuneFrom([]rune("a\"\\/<&\n\t\x00\x7f\u2028é😀"))), rapid.Just("a\xff"))
	instant := rapid.SampledFrom([]time.Time{{}, now, now.In(time.FixedZone("east", 7200)), now.AddDate(9000, 0, 0), now.Truncate(time.Second)})
	rapid.Check(t, func(t *rapid.T) {
		n := &projections.Node{Node: events.Node{
			ID: text.Draw(t, "id"), State: events.State(rapid.IntRange(0, 4).Draw(t, "state")), Incarnation: rapid.Uint64().Draw(t, "incarnation"),
			Address: text.Draw(t, "address"), Tags: rapid.MapOf(text, text).Draw(t, "tags"), Since: instant.Draw(t, "since"),
			SincePosition: rapid.Uint64().Draw(t, "position"), Accusers: rapid.SliceOf(text).Draw(t, "accusers"),
		}}
		for _, by := range rapid.SliceOf(text).Draw(t, "unreached") {
			n.Unreached = append(n.Unreached, projections.Unreached{By: by, At: instant.Draw(t, "at")})
		}
		if rapid.Bool().Draw(t, "parked") {
			n.Parked = &projections.Parked{Position: 7, Events: 2, Reason: text.Draw(t, "reason")}
		}
		var want bytes.Buffer
		if err := encoderTo(&want).Encode(renderNode(n, now)); err != nil {
			t.Fatal(err)
		}
		got, err := appendNode(nil, n, now)
		if err != nil {
			t.Fatal(err)
		}
		if string(got)+"\n" != want.String() {
			t.Fatalf("%s, want %s", got, want.Bytes())
		}
	})
}
