package browser

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// crashBound is within which the page shows a crashed member as failed (I12): detection takes a second or two with five
// members, and the rest is for a machine that is busy with something else.
const crashBound = 20 * time.Second

// startDev starts member dev and returns the page's address.
func startDev(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(member, "dev", "--http", "127.0.0.1:0", "--for", "10m")
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if _, url, ok := strings.Cut(lines.Text(), "page "); ok && len(address) == 0 {
				address <- strings.TrimSpace(url)
			}
		}
	}()
	t.Cleanup(func() {
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		_ = cmd.Process.Signal(os.Interrupt) // everybody leaves
		<-ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("member dev: %v\n%s", err, errors.String())
		}
	})
	select {
	case url := <-address:
		return url
	case <-ended:
		t.Fatalf("member dev ended: %s", errors.String())
	case <-time.After(patience):
		t.Fatal("member dev printed no address")
	}
	return ""
}

func TestDevCluster(t *testing.T) {
	url := startDev(t)
	b := open(t, url, 1600)
	b.until("five rows, all alive", `document.querySelectorAll('#rows .state[data-state="alive"]').length === 5`, "document.body.innerText")
	b.shows("#link", "live")
	b.shows("#projector-state", "live")
	healthy := strings.TrimPrefix(b.text("#position"), "#")
	lines := b.count("#tail li")

	// A crash, by its button, and what is made of it.
	b.click(`tr[data-node="n3"] button[data-action="crash"]`)
	b.within(crashBound, "n3 is failed (I12)", state("n3")+` === "failed"`, state("n3"))
	b.until("with its accusers", `document.querySelector('tr[data-node="n3"] [data-label="Accused by"]').innerText.split(", ").length >= 3`,
		`document.querySelector('tr[data-node="n3"]').innerText`)
	b.until("the log has grown", "document.querySelectorAll('#tail li').length > "+lines, "document.querySelectorAll('#tail li').length")
	b.shows("#tail", "declared n3 failed")
	failed := b.eval(`document.querySelector('#tail li[data-kind="failed"]').dataset.position`)

	timeline(b)
	b.shot("dev-failed")
	travel(b, healthy, failed)
	restart(b)
	pause(b, url)
	split(b)
}

// timeline: who accused n3, on which probes, what relays said, and the verdict with its accusers (I8).
func timeline(b *tab) {
	b.t.Helper()
	b.click(`tr[data-node="n3"] button.name`)
	b.shows("#history-title", "n3")
	b.until("the verdict stands on three", `document.querySelectorAll('#entries li[data-kind="failed"] .proof').length >= 3`, "document.querySelector('#entries').innerText")
	for _, want := range []string{"suspected n3", "unanswered", "Relays", "Last heard", "Accusers", "suspect → failed", "incarnation 1"} {
		if got := b.text("#entries"); !strings.Contains(strings.ToLower(got), strings.ToLower(want)) {
			b.t.Errorf("the timeline lacks %q:\n%s", want, got)
		}
	}
	for _, want := range []string{"available ", "suspicion", "1 verdict", "found within "} {
		b.shows("#history-facts", want)
	}
	if n := b.count(`#life rect[data-state="failed"]`); n != "1" {
		b.t.Errorf("the bar of its life shows %s failures", n)
	}
}

// travel: the same cluster before the crash, after it, and as it is.
func travel(b *tab, healthy, failed string) {
	b.t.Helper()
	b.slide(healthy)
	b.shows("#moment-text", "As of #"+healthy)
	b.inState("n3", "alive")
	b.hides(`tr[data-node="n3"] .actions`) // the buttons act on the present
	b.shows("#tail-note", "up to the moment shown")
	if n := b.count(`#tail li[data-kind="failed"], #entries li[data-kind="failed"]`); n != "0" {
		b.t.Errorf("%s verdicts are shown before there was one", n)
	}
	if hash := b.eval("location.hash"); !strings.Contains(hash, "at="+healthy) {
		b.t.Errorf("the link %q does not lead here", hash)
	}
	b.press(".")
	next, err := strconv.Atoi(healthy)
	if err != nil {
		b.t.Fatal(err)
	}
	b.shows("#moment-text", fmt.Sprintf("As of #%d", next+1))
	b.inState("n3", "suspect")
	b.shot("dev-past")

	// At the very verdict, by its place in the log; the newest position is now, so something has to come after it.
	b.press("n")
	b.inState("n3", "failed")
	b.until("live again", `document.body.dataset.past === "false"`, "document.body.dataset.past")
	b.click(fmt.Sprintf(`#tail li[data-position="%s"] button.moment`, failed))
	b.shows("#moment-text", "As of #"+failed)
	b.inState("n3", "failed")
	b.click("#live")
	b.shows("#moment-text", "Live, at #")
}

func restart(b *tab) {
	b.t.Helper()
	b.click(`tr[data-node="n3"] button[data-action="restart"]`)
	b.inState("n3", "alive")
	b.shows(`tr[data-node="n3"] [data-label="Incarnation"]`, "2")
	b.shows("#entries", "failed → alive")
}

// pause: views that stand still say so, and how far the log has gone meanwhile.
func pause(b *tab, url string) {
	b.t.Helper()
	response, err := http.Post(url+"v1/projections/registry/pause", "", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	response.Body.Close()
	b.shows("#projector-state", "paused")
	b.shows("#stale", "The views are paused")
	b.click(`tr[data-node="n2"] button[data-action="leave"]`)
	b.until("the lag is shown", `/^[1-9]\d* event/.test(document.querySelector("#lag").innerText)`, `document.querySelector("#lag").innerText`)
	b.inState("n2", "alive")
	b.shot("dev-paused")
	b.click(`#controls button[data-control="resume"]`)
	b.inState("n2", "left")
	b.hides("#stale")
	b.click(`#controls button[data-control="rebuild"]`)
	b.shows("#rebuild", "nothing was different")
}

// split: the dialog cuts n1 off from the rest, which then accuse it, and ends it again.
func split(b *tab) {
	b.t.Helper()
	b.click("#split-open")
	b.click(`#split-nodes input[value="n1"]`)
	b.click("#split-buttons button:first-child")
	b.hides("#split")
	newest := b.eval(`document.querySelector("#tail li").dataset.position`)
	b.until("the others miss it", fmt.Sprintf(`[...document.querySelectorAll('#tail li[data-kind="suspected"]')].some((li) => li.dataset.position > %s)`, newest),
		`document.querySelector("#tail").innerText`)
	b.click("#split-open")
	b.click("#split-buttons button:nth-child(2)")
	b.hides("#split")
}
