package httpapi_test

import (
	"fmt"
	"math"
	"net/http"
	"reflect"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/projections/httpapi"
	"rollcall/projections/projector"
)

// at takes what a path of names leads to.
func (r reply) at(path ...string) any {
	value := any(r.body)
	for _, name := range path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

// befell is what a report says of one node; nil for a node that is not in it.
func (r reply) befell(id string) map[string]any {
	list, _ := r.body["nodes"].([]any)
	for _, n := range list {
		if report := n.(map[string]any); report["id"] == id {
			return report
		}
	}
	return nil
}

// Of three nodes one is failed, 4 s after it was last heard, and another answers a suspicion; then nothing happens for 1,000 s.
func TestReportAddsUpAWindow(t *testing.T) {
	w := newWorldOf(t, nil, func(c *projector.Config) { c.Now = func() time.Time { return time.Now().Add(time.Hour) } })
	for _, id := range []string{"n1", "n2", "n3"} {
		w.say(events.Joined, id, id, 1, events.Evidence{})
	}
	w.say(events.Suspected, "n3", "n1", 1, events.Evidence{})
	w.say(events.Accused, "n3", "n2", 1, events.Evidence{})
	heard := w.at.Add(-3 * time.Second) // the verdict is a second later
	failed := w.say(events.Failed, "n3", "n1", 1, events.Evidence{LastHeard: &heard})
	w.say(events.Suspected, "n2", "n1", 1, events.Evidence{})
	answered := w.say(events.Refuted, "n2", "n2", 2, events.Evidence{})
	w.settle()

	then, err := time.Parse(time.RFC3339Nano, w.get(fmt.Sprintf("/v1/nodes?at=%d", answered)).at("time").(string))
	if err != nil {
		t.Fatal(err)
	}
	end := then.Add(1000 * time.Second).Format(time.RFC3339Nano)
	idle := w.get(fmt.Sprintf("/v1/report?from=%d&to=%s", answered, end))
	for id, want := range map[string]string{"n1": "1000 1000 1", "n2": "1000 1000 1", "n3": "1000 0 0"} {
		n := idle.befell(id)
		if got := fmt.Sprint(n["known_seconds"], n["up_seconds"], n["availability"]); got != want {
			t.Errorf("%s was known, up and available %s, want %s", id, got, want)
		}
		if n["failures"] != 0.0 || n["time_to_detect"] != nil {
			t.Errorf("%s in the idle window: %v", id, n)
		}
	}
	if got := idle.at("to", "time"); got != end || idle.at("from", "position") != float64(answered) {
		t.Errorf("from %v to %v, want to %s", idle.at("from"), got, end)
	}

	first, whole := w.get(fmt.Sprintf("/v1/report?to=%d", answered)), w.get("/v1/report?to="+end)
	for name, want := range map[string]float64{"suspicions": 2, "false_suspicions": 1, "failures": 1, "flaps": 1} {
		if got := whole.at("total", name); got != want {
			t.Errorf("%v %s in all, want %v", got, name, want)
		}
	}
	for _, name := range []string{"known_seconds", "up_seconds", "suspicions", "false_suspicions", "failures", "flaps"} {
		sum, all := first.at("total", name).(float64)+idle.at("total", name).(float64), whole.at("total", name).(float64)
		if math.Abs(sum-all) > 1e-6 {
			t.Errorf("%s: %v over two windows, %v over both", name, sum, all)
		}
	}
	want := map[string]any{"count": 1.0, "mean_seconds": 4.0, "p50_seconds": 4.0, "p99_seconds": 4.0, "max_seconds": 4.0}
	if got := whole.at("total", "time_to_detect"); !reflect.DeepEqual(got, want) {
		t.Errorf("detected %v", got)
	}
	if got := whole.at("from", "time"); got != nil || whole.at("from", "position") != 0.0 {
		t.Errorf("the beginning of the log is %v", whole.at("from"))
	}

	// The history of a node lists what came in its window, and reports what the cluster's report says of it.
	window := fmt.Sprintf("?from=%d&to=%s", failed-1, end)
	history, report := w.get("/v1/nodes/n3/history"+window), w.get("/v1/report"+window).befell("n3")
	listed, _ := history.body["history"].([]any)
	if len(listed) != 1 || history.body["older"] != 3.0 {
		t.Errorf("%d listed and %v older", len(listed), history.body["older"])
	}
	for name, want := range report {
		if got := history.at("report", name); name != "id" && !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v in the history, %v in the report", name, got, want)
		}
	}
}

// A node that left before the window is not in it, and one that joined in it is known from then on.
func TestReportIsOfWhoWasOnTheRoll(t *testing.T) {
	w := newWorld(t, nil)
	w.say(events.Joined, "n1", "n1", 1, events.Evidence{})
	w.say(events.Joined, "n2", "n2", 1, events.Evidence{})
	left := w.say(events.Left, "n2", "n2", 1, events.Evidence{})
	w.settle()
	empty := w.get(fmt.Sprintf("/v1/report?from=%d&to=%d", left, left))
	if ids := idsIn(empty, "nodes"); ids != "" || empty.at("total", "availability") != nil {
		t.Errorf("in a window of no length: %q, %s", ids, empty.raw)
	}
	w.until("a moment later", func() bool { return idsIn(w.get(fmt.Sprintf("/v1/report?from=%d", left)), "nodes") == "n1" })
}

// The end of a window that goes on until now is never before its beginning: the views wait, for a bounded time.
func TestReportWaitsForItsBeginning(t *testing.T) {
	w := newWorld(t, func(c *httpapi.Config) { c.WaitMax = 50 * time.Millisecond })
	w.say(events.Joined, "n1", "n1", 1, events.Evidence{})
	w.settle()
	w.do(http.MethodPost, "/v1/projections/timeline/pause", nil)
	joined := w.say(events.Joined, "n2", "n2", 1, events.Evidence{})
	if r := w.get(fmt.Sprintf("/v1/report?from=%d", joined)); r.status != http.StatusServiceUnavailable {
		t.Errorf("paused before the beginning: %d %s", r.status, r.raw)
	}
	w.do(http.MethodPost, "/v1/projections/timeline/resume", nil)
	w.settle()
	if r := w.get(fmt.Sprintf("/v1/report?from=%d", joined)); r.status != http.StatusOK {
		t.Errorf("then: %d %s", r.status, r.raw)
	}
}
