package integration

import (
	"fmt"
	"testing"

	"rollcall/events"
	"rollcall/swim"
)

// The log goes away and comes back. Meanwhile detection goes on among the members: one crashes, another changes its tags, and
// nobody is failed for the outage (I13). Afterwards the log has all of it, once, and in an order that is legal (I1, I2, I5,
// I11); a subscriber that was there before the outage sees each position once (I10).
func TestOutageOfTheLog(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 5)
	before := c.settle()
	crashed := c.incarnation("n4")

	c.StopNATS()
	c.do("n4", "crash")
	if err := c.Member("n1").SetTags(bounded(t), map[string]string{"told": "while the log was away"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "n4 is failed in every member's own view", func() error {
		return c.agree([]string{"n4"}, "failed", "projector", "API")
	})
	eventually(t, "everybody has something to say and nobody to say it to", func() error {
		for _, id := range c.others("n4") {
			if c.Member(id).Status().Outbox == 0 {
				return fmt.Errorf("%s: nothing in its outbox", id)
			}
		}
		return nil
	})
	c.waitFor("the others are alive in every view", c.others("n4"), "alive")
	if err := c.agree([]string{"n4"}, "alive", "member n1", "member n2", "member n3", "member n5"); err != nil {
		t.Errorf("the views know what the log does not: %v (I3)", err)
	}

	if err := c.StartNATS(bounded(t)); err != nil {
		t.Fatal(err)
	}
	c.waitFor("n4 is failed in every view", []string{"n4"}, "failed")
	c.waitFor("the others are alive in every view", c.others("n4"), "alive")
	if last := c.settle(); last <= before {
		t.Errorf("the log was at %d before the outage and is at %d after it", before, last)
	}
	c.wantOnce("n4", crashed)
	if n := c.witness.count("tagged", "n1", 0); n != 1 {
		t.Errorf("the log has %d tagged of n1, want 1", n)
	}

	c.do("n4", "restart")
	c.waitFor("everybody is alive in every view", c.NodeIDs(), "alive")
	c.history()
	c.wantOnce("n4", crashed)
	c.neverFailed(c.others("n4")...)
	for _, d := range c.diaries[:5] {
		if n := d.changes(t, "n4", swim.TransitionFailed, 0); d.id != "n4" && n != 1 {
			t.Errorf("%s held n4 failed %d times, want 1", d.id, n)
		}
	}
}

// What a member has to say when it goes while the log is away waits in its directory for its next life, which says it first.
func TestDepartureDuringAnOutage(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	c.settle()
	departed := c.incarnation("n3")
	c.StopNATS()
	c.do("n3", "leave")
	eventually(t, "n3 is left in every member's own view", func() error {
		return c.agree([]string{"n3"}, "left", "projector", "API")
	})
	if err := c.StartNATS(bounded(t)); err != nil {
		t.Fatal(err)
	}
	c.do("n3", "restart")
	c.waitFor("everybody is alive in every view", c.NodeIDs(), "alive")
	eventually(t, "n3 is at a higher incarnation, the same in every view", func() error { return c.sameIncarnation("n3", departed+1) })

	var story []string
	for _, rec := range c.history() {
		if rec.Node == "n3" && (rec.Kind == events.Joined || rec.Kind == events.Left) {
			story = append(story, string(rec.Kind))
		}
	}
	if got, want := fmt.Sprint(story), "[joined left joined]"; got != want {
		t.Errorf("the log says of n3 %s, want %s", got, want)
	}
	c.neverFailed(c.NodeIDs()...)
}
