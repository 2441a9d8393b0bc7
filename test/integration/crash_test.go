package integration

import (
	"fmt"
	"testing"

	"rollcall/swim"
)

// A member that is gone without a word is suspected once and failed once, for everybody who looks (I12), and comes back under
// a higher incarnation (I6, I7). One that leaves is left, and never failed.
func TestCrashRestartLeave(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 5)
	crashed := c.incarnation("n3")

	c.do("n3", "crash")
	c.waitFor("n3 is failed in every view", []string{"n3"}, "failed")
	c.wantOnce("n3", crashed)
	for _, d := range c.diaries {
		if d.id == "n3" {
			continue
		}
		suspected, failed := d.changes(t, "n3", swim.TransitionSuspected, crashed), d.changes(t, "n3", swim.TransitionFailed, crashed)
		if suspected != 1 || failed != 1 {
			t.Errorf("in its own view %s saw %d suspected and %d failed of n3, want 1 and 1", d.id, suspected, failed)
		}
	}
	c.waitFor("the others are alive in every view", c.others("n3"), "alive")

	c.do("n3", "restart")
	c.waitFor("n3 is alive again in every view", c.NodeIDs(), "alive")
	eventually(t, "n3 is at a higher incarnation, the same in every view", func() error { return c.sameIncarnation("n3", crashed+1) })
	if n := c.witness.count("joined", "n3", 0); n != 2 {
		t.Errorf("n3 joined %d times, want 2", n)
	}

	c.do("n5", "leave")
	c.waitFor("n5 is left in every view", []string{"n5"}, "left")
	c.settle()
	if n := c.witness.count("left", "n5", 0); n != 1 {
		t.Errorf("n5 left %d times, want 1", n)
	}

	c.history()
	c.wantOnce("n3", crashed) // nothing was added since
	c.neverFailed("n1", "n2", "n4", "n5")
	if n := c.witness.count("failed", "n3", 0); n != 1 {
		t.Errorf("n3 was failed %d times, want 1", n)
	}
}

// sameIncarnation returns nil when every view has id at an incarnation of at least least, and all at the same.
func (c *cluster) sameIncarnation(id string, least uint64) error {
	all, err := c.views()
	if err != nil {
		return err
	}
	same := uint64(0)
	for name, nodes := range all {
		for _, n := range nodes {
			if n.ID != id {
				continue
			}
			if n.Incarnation < least || same != 0 && n.Incarnation != same {
				return fmt.Errorf("%s has %s at incarnation %d; another view at %d; want %d or more everywhere", name, id, n.Incarnation, same, least)
			}
			same = n.Incarnation
		}
	}
	return nil
}

// A member that stands still longer than it can be suspected is failed; when it goes on it says so itself, under a higher
// incarnation, and is alive for everybody (I7, I14).
func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 5)
	paused := c.incarnation("n2")

	c.do("n2", "pause")
	c.waitFor("n2 is failed in every view but its own", []string{"n2"}, "failed", "member n2")
	c.wantOnce("n2", paused)

	c.do("n2", "resume")
	c.waitFor("everybody is alive again in every view", c.NodeIDs(), "alive")
	eventually(t, "n2 is at a higher incarnation, the same in every view", func() error { return c.sameIncarnation("n2", paused+1) })

	c.history()
	c.wantOnce("n2", paused)
	if joined, refuted := c.witness.count("joined", "n2", 0), c.witness.count("refuted", "n2", paused+1); joined != 1 || refuted != 1 {
		t.Errorf("n2 joined %d times and refuted its verdict %d times, want 1 and 1: it is the same life", joined, refuted)
	}
	c.neverFailed(c.others("n2")...)
}
