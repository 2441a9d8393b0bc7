package browser

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"rollcall/events"
)

// What members say of themselves is text, wherever it is shown.
func TestHostileTextStaysText(t *testing.T) {
	w := newWorld(t)
	hostile := `"><img src=x onerror="window.owned=1"><script>window.owned=1</script>`
	w.tags = map[string]string{"role": hostile, "</td><img src=x onerror=window.owned=1>": "x"}
	w.join("n1", "n2")
	w.say(events.Suspected, "n1", "n2", 1, events.Evidence{
		Reason: hostile, Probes: 1, Relays: []events.Relay{{ID: hostile, Answer: hostile}}, Unreachable: []string{hostile}, Side: hostile,
	})
	w.settle()
	b := open(t, w.server.URL+"/#node=n1", 1600)
	b.inState("n1", "suspect")
	b.shows("#entries", hostile)
	tags := `[...document.querySelectorAll('tr[data-node="n1"] .tag')].map((tag) => tag.textContent)`
	if want := quoted("role=" + hostile); b.eval(fmt.Sprintf("%s.includes(%s)", tags, want)) != "true" {
		t.Errorf("the tags are %s, want %s among them", b.eval(tags), want)
	}
	b.shows("#tail", hostile)
	if n := b.count("img, main script, [onerror]"); n != "0" {
		t.Errorf("%s elements were made of text", n)
	}
	if owned := b.eval("window.owned"); owned != "undefined" {
		t.Errorf("a tag ran as code: %s", owned)
	}
}

func TestFilterAndSort(t *testing.T) {
	w := newWorld(t)
	for i, role := range []string{"web", "worker", "worker"} {
		w.tags = map[string]string{"role": role}
		w.join(fmt.Sprintf("n%d", i+1), fmt.Sprintf("n%d", i+10))
	}
	w.say(events.Left, "n2", "n2", 1, events.Evidence{})
	w.settle()
	b := open(t, w.server.URL, 1600)
	names := `[...document.querySelectorAll("#rows tr")].map((row) => row.dataset.node).join(" ")`
	rows := func(what, want string) {
		t.Helper()
		b.until(what+" gives "+want, fmt.Sprintf("%s === %q", names, want), names)
	}
	rows("everybody, by id", "n1 n2 n3 n10 n11 n12")
	b.write("#tag", "role=worker")
	rows("role=worker", "n2 n3 n11 n12")
	b.click(`#states button[data-state="left"]`)
	rows("and left", "n2")
	b.click(`#states button[data-state="left"]`)
	b.write("#find", "n12")
	rows("find n12", "n12")
	b.write("#find", "n")
	b.click(`th[data-sort="id"] button`)
	rows("the other way round", "n12 n11 n3 n2")
	if sorted := b.eval(`document.querySelector('th[data-sort="id"]').ariaSort`); sorted != "descending" {
		t.Errorf("aria-sort is %s", sorted)
	}
	b.click(`th[data-sort="state"] button`)
	rows("by state", "n2 n3 n11 n12")

	// An expression that is none says where, and leaves the table; a link shows somebody else the same.
	b.expect("400")
	b.write("#tag", "role in (")
	b.shows("#tag-problem", "not a tag expression")
	if invalid := b.eval(`document.getElementById("tag").ariaInvalid`); invalid != "true" {
		t.Errorf("aria-invalid is %s", invalid)
	}
	b.write("#tag", "role=web")
	rows("role=web", "n1 n10")
	b.hides("#tag-problem")
	b = open(t, w.server.URL+"/"+b.eval("location.hash"), 1600)
	rows("the link", "n1 n10")
}

// A stream that breaks says so, comes back, and brings what happened meanwhile, once (I10).
func TestStreamComesBack(t *testing.T) {
	w := newWorld(t)
	w.join("n1")
	w.settle()
	b := open(t, w.server.URL, 1600)
	b.expect("ERR_") // the requests that are cut off with the stream
	b.shows("#link", "live")
	b.eval(`(() => { window.said = []; new MutationObserver(() => window.said.push(document.getElementById("link").innerText))
		.observe(document.getElementById("link"), { childList: true, characterData: true, subtree: true }); })()`)
	w.server.CloseClientConnections()
	b.until("the break is shown", `window.said.includes("reconnecting")`, "window.said")
	w.join("n2", "n3")
	b.shows("#link", "live")
	b.inState("n3", "alive")
	positions := `[...document.querySelectorAll("#tail li")].map((li) => li.dataset.position).join(" ")`
	b.until("each event once, in order", positions+` === "3 2 1"`, positions)
}

func TestGroups(t *testing.T) {
	w := newWorld(t)
	w.tags = map[string]string{"role": "worker"}
	w.join("n1", "n2")
	planned := w.plan("orders", "n1", events.Plan{
		Reason: "first plan", Selector: "role=worker", Bound: 2, Workers: map[string][]string{"n1": {"s0", "s2"}, "n2": {"s1"}},
		Moves: []events.Move{{Reason: "nobody had it", Shards: []string{"s0", "s1", "s2"}}},
	})
	w.say(events.Left, "n2", "n2", 1, events.Evidence{})
	w.settle()
	b := open(t, w.server.URL, 1600)
	b.shows("#groups", "2 of 3 shards assigned")
	b.click("#group-list summary")
	b.shows(`[data-shard="s1"]`, "nobody")
	b.shows(`[data-shard="s1"]`, "left")
	b.shows(`[data-shard="s0"]`, "n1")
	b.shows("#group-list .tail", "n1 planned group orders: first plan")
	b.shows("#tail", "n1 planned group orders: first plan")
	b.slide(fmt.Sprint(planned))
	b.shows("#groups", "3 of 3 shards assigned")
	b.shows(`[data-shard="s1"]`, "n2")
	b.slide("1")
	b.hides("#groups")
}

// An event that cannot be read parks its node; the page says why, tries again, and skips it when told twice.
func TestParkedNode(t *testing.T) {
	w := newWorld(t)
	w.join("n1", "n2")
	w.log.Inject("rollcall.test.node.n2.n2.tagged", []byte("{"))
	w.settle()
	b := open(t, w.server.URL, 1600)
	b.shows(`[data-parked="n2"]`, "n2 is parked at #3: 1 event cannot be read")
	b.shows(`tr[data-node="n2"]`, "parked")
	b.shows("#rejected-title", "1 event could not be read")
	b.shot("parked")
	b.expect("409")
	b.click(`[data-parked="n2"] [data-control="retry"]`)
	b.shows("#notice", "skip it, or start a version that can read it")
	b.click(`[data-parked="n2"] [data-control="skip"]`)
	b.shows(`[data-parked="n2"]`, "skip for good?")
	b.click(`[data-parked="n2"] [data-control="skip"]`)
	b.hides("#parked")
	b.until("the row follows again", `!document.querySelector('tr[data-node="n2"] .remark')`, "document.querySelector('#rows').innerText")
}

func TestHistoryIncomplete(t *testing.T) {
	w := newWorld(t)
	w.join("n1", "n2", "n3", "n4")
	w.settle()
	w.log.Trim(3)
	b := open(t, w.server.URL+"/#at=1", 1600)
	b.expect("410")
	b.shows("#scrub-problem", "History incomplete")
	b.shows("#empty", "not known here")
	if n := b.count("#rows tr"); n != "0" {
		t.Errorf("%s rows are shown as of a moment that is not known", n)
	}
	b.press("n")
	b.inState("n4", "alive")
	b.hides("#scrub-problem")
}

// Who lives and answers through the log, and cannot be reached by some, is alive with a remark.
func TestUnreachableFromSome(t *testing.T) {
	w := newWorld(t)
	w.join("n1", "n2", "n3", "n4")
	w.say(events.Suspected, "n3", "n1", 1, events.Evidence{Reason: "probe timeout"})
	w.say(events.Refuted, "n3", "n3", 2, events.Evidence{Previous: 1})
	w.settle()
	b := open(t, w.server.URL, 1600)
	b.inState("n3", "alive")
	b.shows(`tr[data-node="n3"]`, "not from n1")
}

func TestPartitionBanner(t *testing.T) {
	w := newWorld(t)
	w.join("n1", "n2", "n3")
	cut := w.say(events.Partitioned, "n3", "n3", 1, events.Evidence{Side: "minority", Reachable: 1, Total: 3, Unreachable: []string{"n1", "n2"}})
	w.settle()
	b := open(t, w.server.URL, 1600)
	b.shows("#partition", "n3 counts itself cut off")
	b.shows("#partition", "minority, reaches 1 of 3; missing: n1 and n2")
	w.say(events.Healed, "n3", "n3", 1, events.Evidence{Side: "minority", Reachable: 3, Total: 3})
	b.hides("#partition")
	b.slide(fmt.Sprint(cut))
	b.shows("#partition", "n3 counts itself cut off")
}

// A thousand nodes: some of them are shown, all can be found, and a press of a key is answered while events pour in.
func TestThousandNodes(t *testing.T) {
	w := newWorld(t)
	for i := range 1000 {
		w.tags = map[string]string{"role": "worker", "zone": fmt.Sprint(i % 7)}
		w.join(fmt.Sprintf("n%d", i+1))
	}
	w.settle()
	b := open(t, w.server.URL, 1600)
	b.until("the first rows", `document.querySelectorAll("#rows tr").length === 100`, `document.querySelectorAll("#rows tr").length`)
	b.shows("#more", "100 of 1,000 nodes shown. Show 100 more")
	b.eval(`(() => { window.longest = 0; new PerformanceObserver((list) => { for (const task of list.getEntries())
		window.longest = Math.max(window.longest, task.duration); }).observe({ type: "longtask" }); })()`)
	b.click("#more")
	b.until("more rows", `document.querySelectorAll("#rows tr").length === 200`, `document.querySelectorAll("#rows tr").length`)
	for i := range 200 {
		w.say(events.Suspected, fmt.Sprintf("n%d", i+1), fmt.Sprintf("n%d", i+501), 1, events.Evidence{Reason: "probe timeout"})
	}
	b.inState("n200", "suspect")
	b.write("#find", "n777")
	b.until("n777 alone", `[...document.querySelectorAll("#rows tr")].map((row) => row.dataset.node).join() === "n777"`, "document.querySelector('#rows').innerText")
	b.until("the log is bounded", `document.querySelectorAll("#tail li").length === 200`, `document.querySelectorAll("#tail li").length`)
	t.Logf("the longest task took %s ms", b.eval("Math.round(window.longest)"))
}

// The page behind a token that stands in the address, which a browser sends by itself and a script must not.
func TestCredentialsInTheAddress(t *testing.T) {
	w := newWorld(t)
	w.join("n1")
	w.settle()
	address := w.guarded(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if _, password, ok := r.BasicAuth(); !ok || password != "a-token" {
				rw.Header().Set("WWW-Authenticate", `Basic realm="rollcall"`)
				rw.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(rw, r)
		})
	})
	b := open(t, strings.Replace(address, "http://", "http://page:a-token@", 1), 1600)
	b.inState("n1", "alive")
	b.shows("#link", "live")
	w.join("n2")
	b.inState("n2", "alive")
}
