package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"rollcall/events"
	"rollcall/projections/httpapi"
)

// fleet is n1 to n4, of which n3 is suspect and n4 has left.
func (w *world) fleet() {
	w.t.Helper()
	for _, id := range []string{"n1", "n2", "n3", "n4"} {
		w.say(events.Joined, id, id, 1, events.Evidence{})
	}
	w.say(events.Suspected, "n3", "n1", 1, events.Evidence{})
	w.say(events.Left, "n4", "n4", 1, events.Evidence{})
	w.settle()
}

// idsIn are the ids of a list in an answer.
func idsIn(r reply, name string) string {
	var out []string
	list, _ := r.body[name].([]any)
	for _, n := range list {
		out = append(out, n.(map[string]any)["id"].(string))
	}
	return strings.Join(out, " ")
}

func TestServicesAreAliveUnlessAskedOtherwise(t *testing.T) {
	w := newWorld(t, nil)
	w.fleet()
	for query, want := range map[string]string{
		"":                                 "n1 n2",
		"tag=role=worker":                  "n1 n2",
		"tag=!zone=n1":                     "n2",
		"tag=role=web":                     "",
		"status=alive,suspect":             "n1 n2 n3",
		"status=left":                      "n4",
		"at=4":                             "n1 n2 n3 n4",
		"tag=zone+in+(n1,n3)&status=alive": "n1",
	} {
		if r := w.get("/v1/services?" + query); r.status != http.StatusOK || idsIn(r, "services") != want {
			t.Errorf("%q: %d %s, want %q", query, r.status, r.raw, want)
		}
	}
}

func (w *world) pick(query string) string {
	w.t.Helper()
	r := w.get("/v1/pick?" + query)
	node, _ := r.body["node"].(map[string]any)
	if r.status != http.StatusOK || node == nil {
		w.t.Fatalf("%s: %d %s", query, r.status, r.raw)
	}
	return node["id"].(string)
}

func TestPick(t *testing.T) {
	w := newWorld(t, nil)
	w.fleet()
	turns := ""
	for range 3 {
		turns += w.pick("strategy=round_robin") + " "
		turns += w.pick("strategy=round_robin&status=suspect,alive") + " " // another filter, whose turns are its own
	}
	if turns != "n1 n1 n2 n2 n1 n3 " {
		t.Errorf("turns: %s", turns)
	}
	stable := w.pick("key=order-1")
	random := make(map[string]bool)
	for range 64 {
		if got := w.pick("strategy=rendezvous&key=order-1&tag=role=worker"); got != stable {
			t.Fatalf("order-1 went to %s, then to %s", stable, got)
		}
		random[w.pick("")] = true
	}
	if len(random) != 2 {
		t.Errorf("64 random picks of two: %v", random)
	}
	if got := w.pick("strategy=least_loaded&key=zone"); got != "n1" && got != "n2" {
		t.Errorf("nobody says a number, and %s is picked", got)
	}
	if r := w.get("/v1/pick?status=alive,suspect"); r.body["candidates"] != 3.0 || r.body["strategy"] != "random" {
		t.Errorf("%s", r.raw)
	}
}

// The past has no turns, and who asks about it takes nobody's.
func TestPickOfThePastTakesNoTurn(t *testing.T) {
	w := newWorld(t, nil)
	w.fleet()
	first := w.pick("strategy=round_robin")
	r := w.get("/v1/pick?strategy=round_robin&at=4")
	if r.status != http.StatusBadRequest || r.body["type"] != "urn:rollcall:problem:bad-parameter" {
		t.Errorf("%d %s", r.status, r.raw)
	}
	if next := w.pick("strategy=round_robin"); first != "n1" || next != "n2" {
		t.Errorf("picked %s and then %s", first, next)
	}
	if got := w.pick("strategy=rendezvous&key=order-1&at=4"); got == "" {
		t.Error("nobody is picked of the past")
	}
}

// I15: whoever makes up filters makes the server forget turns, not grow.
func TestI15TurnsAreBounded(t *testing.T) {
	w := newWorld(t, nil)
	w.fleet()
	first := w.pick("strategy=round_robin")
	for i := range httpapi.TurnsMax {
		w.pick(fmt.Sprintf("strategy=round_robin&tag=role,!gone=%d", i))
	}
	if again := w.pick("strategy=round_robin"); first != "n1" || again != "n1" {
		t.Errorf("picked %s, and after %d other filters %s: its turn should be forgotten", first, httpapi.TurnsMax, again)
	}
}

// A projector that knows nothing yet must not say that there is nobody.
func TestNobodyIsSaidOnlyWhenReady(t *testing.T) {
	w := newWorld(t, func(c *httpapi.Config) { c.Projector.Log().(interface{ SetAvailable(bool) }).SetAvailable(false) })
	for _, path := range []string{"/v1/pick", "/sd/prometheus"} {
		r := w.get(path)
		if r.status != http.StatusServiceUnavailable || r.body["type"] != "urn:rollcall:problem:not-ready" || r.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", path, r.status, r.raw)
		}
	}
	w.log.SetAvailable(true)
	w.until("ready", func() bool { return w.p.Status().Ready })
	if r := w.get("/v1/pick"); r.status != http.StatusNotFound {
		t.Errorf("pick of nobody: %d %s", r.status, r.raw)
	}
	if r := w.get("/sd/prometheus"); r.status != http.StatusOK || r.raw != "[]\n" {
		t.Errorf("targets of nobody: %d %s", r.status, r.raw)
	}
}

func TestPrometheusTargets(t *testing.T) {
	w := newWorld(t, nil)
	w.fleet()
	w.tags = map[string]string{"metrics": "9100", "my-zone.x": "b"}
	w.say(events.Joined, "n5", "n5", 1, events.Evidence{})
	w.tags = map[string]string{"metrics": "10.0.0.6:9101"}
	w.say(events.Joined, "n6", "n6", 1, events.Evidence{})
	w.settle()
	var groups []struct {
		Targets []string
		Labels  map[string]string
	}
	r := w.get("/sd/prometheus?tag=zone!=n2")
	if err := json.Unmarshal([]byte(r.raw), &groups); err != nil || r.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%v: %v %s", err, r.header, r.raw)
	}
	var targets []string
	for _, g := range groups {
		targets = append(targets, g.Targets...)
	}
	if got := strings.Join(targets, " "); got != "127.0.0.1:7001 127.0.0.1:9100 10.0.0.6:9101" {
		t.Errorf("targets: %s", got)
	}
	want := map[string]string{
		"__meta_rollcall_cluster": "test", "__meta_rollcall_id": "n5", "__meta_rollcall_state": "alive",
		"__meta_rollcall_address": "127.0.0.1:7001", "__meta_rollcall_incarnation": "1", "__meta_rollcall_tag_metrics": "9100",
		"__meta_rollcall_tag_my_zone_x": "b",
	}
	if got := groups[1].Labels; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("labels: %v, want %v", got, want)
	}
}

// Of tags whose keys are one label the first counts, in every answer: a target that is another each time starts anew each time.
func TestPrometheusTargetsStayTheSame(t *testing.T) {
	w := newWorld(t, nil)
	w.tags = map[string]string{"a.b": "1", "a-b": "2", "a_b": "3"}
	w.say(events.Joined, "n1", "n1", 1, events.Evidence{})
	w.settle()
	for range 64 {
		if r := w.get("/sd/prometheus"); !strings.Contains(r.raw, `"__meta_rollcall_tag_a_b":"2"`) {
			t.Fatalf("want that of a-b: %s", r.raw)
		}
	}
}

func TestDiffOfTwoInstants(t *testing.T) {
	w := newWorld(t, nil)
	w.episode() // n3 joins at 3, fails at 6, and is back at 7
	w.say(events.Left, "n1", "n1", 1, events.Evidence{})
	w.settle()
	r := w.get("/v1/diff?from=2&to=6")
	added, _ := r.body["added"].([]any)
	if len(added) != 1 || idsIn(r, "added") != "n3" || added[0].(map[string]any)["before"] != nil {
		t.Errorf("from 2 to 6: %s", r.raw)
	}
	r = w.get("/v1/diff?from=3&to=6")
	changed, _ := r.body["changed"].([]any)
	if len(changed) != 1 || r.body["position"] != 6.0 {
		t.Fatalf("from 3 to 6: %s", r.raw)
	}
	n3 := changed[0].(map[string]any)
	if n3["before"].(map[string]any)["state"] != "alive" || n3["after"].(map[string]any)["state"] != "failed" ||
		fmt.Sprint(n3["fields"]) != "[state since accusers]" {
		t.Errorf("n3 from 3 to 6: %v", n3)
	}
	r = w.get("/v1/diff?from=7")
	if idsIn(r, "removed") != "n1" || idsIn(r, "added")+idsIn(r, "changed") != "" || r.body["to"].(map[string]any)["position"] != 8.0 {
		t.Errorf("from 7 until now: %s", r.raw)
	}
	if r = w.get("/v1/diff?from=2000-01-01T00:00:00Z"); idsIn(r, "added") != "n2 n3" || r.body["from"].(map[string]any)["position"] != 0.0 {
		t.Errorf("since the beginning: %s", r.raw)
	}
}

// A pick of the past is one of those that could be called then.
func TestPickAsOf(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	w.say(events.Left, "n1", "n1", 1, events.Evidence{Reason: "leave"})
	w.settle()
	r := w.get("/v1/pick?tag=zone=n1&at=3")
	if r.status != http.StatusOK || r.body["node"].(map[string]any)["id"] != "n1" || r.body["position"] != 3.0 {
		t.Errorf("as of 3: %d %s", r.status, r.raw)
	}
	conforms(t, "Pick", r.body)
	if r := w.get("/v1/pick?tag=zone=n1"); r.status != http.StatusNotFound {
		t.Errorf("now: %d %s", r.status, r.raw)
	}
}
