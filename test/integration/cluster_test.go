package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"rollcall/events"
	"rollcall/infra/devcluster"
	"rollcall/infra/loopback"
	"rollcall/projections"
	"rollcall/projections/httpapi"
	"rollcall/swim"
	"rollcall/swim/agent"
)

// cluster is a whole cluster in this process, with its API and a witness on its stream.
type cluster struct {
	*devcluster.Cluster
	t       *testing.T
	api     string // URL
	witness *witness
	diaries []*diary
}

func startCluster(t *testing.T, nodes int) *cluster {
	t.Helper()
	log := slog.New(slog.NewTextHandler(newTranscript(t, "log of the cluster"), &slog.HandlerOptions{Level: slog.LevelDebug}))
	dev, err := devcluster.Start(bounded(t), devcluster.Config{Nodes: nodes, Dir: t.TempDir(), Logger: log, NATSListen: loopback.Addr(t)})
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{Cluster: dev, t: t}
	t.Cleanup(func() {
		if err := dev.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		select {
		case err := <-dev.Failed():
			t.Errorf("the projector ended: %v", err)
		default:
		}
	})
	handler, err := httpapi.New(httpapi.Config{Projector: dev.Projector(), Dev: dev, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	c.api = server.URL
	c.witness = observe(t, dev.NATS(), "default")
	for _, id := range dev.NodeIDs() {
		c.keepDiary(id)
	}
	c.waitFor("everybody is alive in every view", dev.NodeIDs(), "alive")
	return c
}

// bounded is the context of one call, also of one made while the test cleans up.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	return ctx
}

// do presses one of the page's buttons.
func (c *cluster) do(id, action string) {
	c.t.Helper()
	response, err := http.Post(c.api+"/dev/nodes/"+id+"/"+action, "", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		c.t.Fatalf("%s %s: %s %s %v", action, id, response.Status, body, err)
	}
	if action == "restart" {
		c.keepDiary(id)
	}
}

// nodeView is what a view says of one node.
type nodeView struct {
	ID          string `json:"id"`
	State       string `json:"state"`
	Incarnation uint64 `json:"incarnation"`
	Address     string `json:"address"`
	Since       uint64 `json:"since_position"`
}

// get decodes an answer of the API.
func get(url string, value any) error {
	response, err := http.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return json.Unmarshal(body, value)
}

// listNodes asks a projector for every node it knows.
func listNodes(api string) ([]nodeView, error) {
	var answer struct{ Nodes []nodeView }
	err := get(api+"/v1/nodes", &answer)
	return answer.Nodes, err
}

// views are all views of the cluster, by the name of whose they are: every running member's own, the projector's, and
// what the API answers.
func (c *cluster) views() (map[string][]nodeView, error) {
	all := make(map[string][]nodeView)
	for _, id := range c.NodeIDs() {
		member := c.Member(id)
		if member == nil {
			continue
		}
		for _, m := range member.Registry().All() {
			all["member "+id] = append(all["member "+id], nodeView{ID: string(m.ID), State: m.State.String(), Incarnation: m.Incarnation})
		}
	}
	c.Projector().View(func(v *projections.Views) {
		for _, n := range v.Registry.Nodes() {
			all["projector"] = append(all["projector"], nodeView{ID: n.ID, State: n.State.String(), Incarnation: n.Incarnation})
		}
	})
	nodes, err := listNodes(c.api)
	for _, n := range nodes {
		all["API"] = append(all["API"], nodeView{ID: n.ID, State: n.State, Incarnation: n.Incarnation})
	}
	return all, err
}

// agree returns nil when every view but those passed over has every one of ids in state.
func (c *cluster) agree(ids []string, state string, except ...string) error {
	all, err := c.views()
	if err != nil {
		return err
	}
	for name, nodes := range all {
		if slices.Contains(except, name) {
			continue
		}
		for _, id := range ids {
			i := slices.IndexFunc(nodes, func(n nodeView) bool { return n.ID == id })
			if i < 0 || nodes[i].State != state {
				return fmt.Errorf("the view of %s is %v; want %s %s", name, nodes, id, state)
			}
		}
	}
	return nil
}

func (c *cluster) waitFor(what string, ids []string, state string, except ...string) {
	c.t.Helper()
	eventually(c.t, what, func() error { return c.agree(ids, state, except...) })
}

// incarnation is a node's, in the projector's view.
func (c *cluster) incarnation(id string) uint64 {
	var incarnation uint64
	c.Projector().View(func(v *projections.Views) {
		if n, ok := v.Registry.Node(id); ok {
			incarnation = n.Incarnation
		}
	})
	return incarnation
}

// settle waits until nothing is under way: every outbox is empty, and all readers have read the log to its end. It returns
// the log's last position.
func (c *cluster) settle() uint64 {
	c.t.Helper()
	ctx := bounded(c.t)
	for _, id := range c.NodeIDs() {
		if member := c.Member(id); member != nil {
			if err := member.Drained(ctx); err != nil {
				c.t.Fatalf("outbox of %s: %v (I11)", id, err)
			}
		}
	}
	info, err := c.Log().Info(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.Projector().WaitFor(ctx, info.Last); err != nil {
		c.t.Fatal(err)
	}
	eventually(c.t, "the witness reads to the end", func() error { return c.witness.reached(info.Last) })
	return info.Last
}

// diary is what one life of a member noticed, from when it had started.
type diary struct {
	id  string
	sub *agent.Subscription
	all []agent.Notice
}

const diaryBound = 4096 // notices; a scenario makes some dozens

func (c *cluster) keepDiary(id string) {
	c.diaries = append(c.diaries, &diary{id: id, sub: c.Member(id).Subscribe(diaryBound)})
}

// read returns everything noticed so far.
func (d *diary) read(t *testing.T) []agent.Notice {
	t.Helper()
	if missed := d.sub.Missed(); missed > 0 {
		t.Fatalf("the diary of %s missed %d changes", d.id, missed)
	}
	for {
		select {
		case n, open := <-d.sub.C:
			if !open {
				return d.all
			}
			if n.Missed > 0 {
				t.Fatalf("the diary of %s missed %d changes", d.id, n.Missed)
			}
			d.all = append(d.all, n)
		default:
			return d.all
		}
	}
}

// changes counts how often the view of d's member changed by kind for subject at incarnation; 0 for any.
func (d *diary) changes(t *testing.T, subject string, kind swim.TransitionKind, incarnation uint64) int {
	n := 0
	for _, notice := range d.read(t) {
		// A member's own accusation of somebody whom others accused before is no change of its view.
		again := notice.Kind == swim.TransitionSuspected && notice.Before == swim.Suspect
		if string(notice.Subject) == subject && notice.Kind == kind && !again &&
			(incarnation == 0 || notice.Incarnation == incarnation) {
			n++
		}
	}
	return n
}

// applied counts the events of kind that changed a node's state in the projector's view, and in the API's answer.
func (c *cluster) applied(id string, kind events.Kind, incarnation uint64) (view, api int) {
	c.t.Helper()
	c.Projector().View(func(v *projections.Views) {
		h, _ := v.Timeline.History(id)
		for _, e := range h.Entries {
			if e.Kind == kind && e.Incarnation == incarnation && e.Outcome.Result == events.Applied {
				view++
			}
		}
	})
	var answer struct {
		History []struct {
			Kind        events.Kind
			Incarnation uint64
			Outcome     struct{ Result string }
		}
	}
	if err := get(c.api+"/v1/nodes/"+id+"/history", &answer); err != nil {
		c.t.Fatal(err)
	}
	for _, e := range answer.History {
		if e.Kind == kind && e.Incarnation == incarnation && e.Outcome.Result == "applied" {
			api++
		}
	}
	return view, api
}

// wantOnce fails the test unless everybody who looks sees exactly one suspected and one failed of id at incarnation.
func (c *cluster) wantOnce(id string, incarnation uint64) {
	c.t.Helper()
	c.settle()
	for _, kind := range []events.Kind{events.Suspected, events.Failed} {
		if n := c.witness.count(string(kind), id, incarnation); n != 1 {
			c.t.Errorf("the stream has %d %s of %s at incarnation %d, want 1", n, kind, id, incarnation)
		}
		if view, api := c.applied(id, kind, incarnation); view != 1 || api != 1 {
			c.t.Errorf("%s of %s at incarnation %d: the projector applied %d, the API shows %d, want 1 and 1",
				kind, id, incarnation, view, api)
		}
	}
}

// history reads the log to its end and fails the test unless it is what the invariants make of it.
func (c *cluster) history() []events.Recorded {
	c.t.Helper()
	last := c.settle()
	c.witness.check(c.t, last)
	roll := events.NewRoll("default")
	ids := make(map[string]bool)
	spoke := make(map[[2]string]string) // author and node to the author's last id about it
	var all []events.Recorded
	for rec, err := range c.Log().Subscribe(bounded(c.t), events.Filter{}, events.From{}) {
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, rec)
		if out := roll.Apply(rec); out.Result == events.Refused {
			c.t.Errorf("position %d, %s of %s by %s: refused: %s (I5)", rec.Position, rec.Kind, rec.Node, rec.Author, out.Reason)
		}
		if ids[rec.ID] {
			c.t.Errorf("position %d: id %s comes twice (I2)", rec.Position, rec.ID)
		}
		ids[rec.ID] = true
		if !slices.Contains(c.NodeIDs(), rec.Author) {
			c.t.Errorf("position %d: %s is no member (I3)", rec.Position, rec.Author)
		}
		pair := [2]string{rec.Author, rec.Node}
		if rec.ID < spoke[pair] {
			c.t.Errorf("position %d: %s said this of %s before what stands before it (I4)", rec.Position, rec.Author, rec.Node)
		}
		spoke[pair] = rec.ID
		if rec.Position == last {
			break
		}
	}
	if uint64(len(all)) != last {
		c.t.Errorf("the log has %d events and is at %d: positions are missing", len(all), last)
	}
	c.lostNothing(all)
	return all
}

// lostNothing: whatever a member noticed as its own to say is in the log, as said or as evidence (I1, I11), and nothing was
// put aside on the way.
func (c *cluster) lostNothing(log []events.Recorded) {
	c.t.Helper()
	for _, d := range c.diaries {
		for _, n := range d.read(c.t) {
			if n.Own && !slices.ContainsFunc(log, func(rec events.Recorded) bool { return tells(rec, d.id, n) }) {
				c.t.Errorf("%s noticed %v of %s at incarnation %d, and the log does not have it (I11)",
					d.id, n.Kind, n.Subject, n.Incarnation)
			}
		}
		member := c.Member(d.id)
		if member == nil {
			continue
		}
		if s := member.Status(); s.Outbox != 0 || s.Recorder.Aside != 0 || s.Recorder.Denied != 0 {
			c.t.Errorf("%s: %d events wait, %d were put aside, %d denied; want none (I11)",
				d.id, s.Outbox, s.Recorder.Aside, s.Recorder.Denied)
		}
	}
}

// tells reports whether rec is what became of a notice of author's. One accusation may stand for a suspicion and for the
// verdict that another member put on record first.
func tells(rec events.Recorded, author string, n agent.Notice) bool {
	if rec.Author != author || rec.Node != string(n.Subject) || rec.Incarnation != n.Incarnation {
		return false
	}
	switch n.Kind {
	case swim.TransitionSuspected, swim.TransitionFailed:
		return rec.Kind == events.Suspected || rec.Kind == events.Accused || rec.Kind == events.Failed
	default:
		return string(rec.Kind) == n.Kind.String()
	}
}

// neverFailed fails the test if one of ids was ever held failed, in the log or in a member's own view (I13).
func (c *cluster) neverFailed(ids ...string) {
	c.t.Helper()
	for _, id := range ids {
		if n := c.witness.count("failed", id, 0); n != 0 {
			c.t.Errorf("the log has %d verdicts about %s, who was there all the time (I13)", n, id)
		}
		for _, d := range c.diaries {
			if n := d.changes(c.t, id, swim.TransitionFailed, 0); n != 0 {
				c.t.Errorf("%s held %s failed %d times, who was there all the time (I13)", d.id, id, n)
			}
		}
	}
}

// others are all members but those named.
func (c *cluster) others(but ...string) []string {
	return slices.DeleteFunc(c.NodeIDs(), func(id string) bool { return slices.Contains(but, id) })
}
