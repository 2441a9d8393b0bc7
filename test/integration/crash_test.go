package integration

import (
	"errors"
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

	c.reportsOneCrash("n3")

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

// befell is what a report says of a node.
type befell struct {
	ID           string   `json:"id"`
	Availability *float64 `json:"availability"`
	Failures     int      `json:"failures"`
	TimeToDetect *struct {
		Count int     `json:"count"`
		Mean  float64 `json:"mean_seconds"`
	} `json:"time_to_detect"`
}

// reportsOneCrash checks that id was down for a while and found within some time, by its history and by the report of all, and
// that nobody else was.
func (c *cluster) reportsOneCrash(id string) {
	c.t.Helper()
	var history struct{ Report befell }
	var report struct{ Nodes []befell }
	if err := errors.Join(get(c.api+"/v1/nodes/"+id+"/history", &history), get(c.api+"/v1/report", &report)); err != nil {
		c.t.Fatal(err)
	}
	if len(report.Nodes) != len(c.NodeIDs()) {
		c.t.Errorf("%d nodes are reported, want %d", len(report.Nodes), len(c.NodeIDs()))
	}
	history.Report.ID = id
	for _, r := range append(report.Nodes, history.Report) {
		switch {
		case r.Availability == nil:
			c.t.Errorf("%s was not on the roll", r.ID)
		case r.ID != id:
			if *r.Availability != 1 || r.Failures != 0 || r.TimeToDetect != nil {
				c.t.Errorf("%s was available %v, with %d failures", r.ID, *r.Availability, r.Failures)
			}
		case *r.Availability <= 0 || *r.Availability >= 1 || r.Failures != 1:
			c.t.Errorf("%s was available %v, with %d failures; want some of the time, and one", id, *r.Availability, r.Failures)
		case r.TimeToDetect == nil || r.TimeToDetect.Count != 1 || r.TimeToDetect.Mean <= 0:
			c.t.Errorf("the failure of %s was found in %+v", id, r.TimeToDetect)
		}
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
