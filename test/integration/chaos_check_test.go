package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"

	"rollcall/events"
	"rollcall/events/outbox"
	"rollcall/events/verify"
)

// pendingMax is how many entries of an outbox are looked at: all that it can hold.
const pendingMax = outbox.LimitDefault

// inspect reads what a member that was killed has on its disk and not, for all it knows, in the log.
func (c *chaos) inspect(p *part) {
	c.t.Helper()
	path := filepath.Join(c.dir, "data", "pki", p.name, "outbox.db")
	if _, err := os.Stat(path); err != nil {
		return // killed before it had one
	}
	box, err := outbox.Open(outbox.Config{Path: path})
	if err != nil {
		c.t.Fatal(err)
	}
	defer box.Close()
	entries, err := box.Pending(0, pendingMax)
	if err != nil {
		c.t.Fatal(err)
	}
	accepted, err := box.Accepted()
	if err != nil {
		c.t.Fatal(err)
	}
	c.account.inspected(p.name, accepted, entries)
}

// settle waits until everybody is alive, members and projectors say the same and nobody has more to say, and ends the members.
func (c *chaos) settle() {
	c.t.Helper()
	c.healthy()
	c.agreed()
	c.account.close()
	for _, m := range c.parts[aMember] {
		c.end(m)
	}
}

// agreed waits until every member has said everything, and the projectors the same as it.
func (c *chaos) agreed() {
	c.t.Helper()
	for _, m := range c.parts[aMember] {
		within(c.t, chaosPatience, m.name+" is of one mind with the projectors, and has said everything", func() error { return c.agrees(m) })
	}
}

// agrees compares what a member says of itself and of the cluster with what the projectors say (I14).
func (c *chaos) agrees(m *part) error {
	metrics, err := fetch(c.t.Context(), m.api+"/metrics")
	if err != nil {
		return err
	}
	if live := gauge(metrics, "rollcall_members_live"); live != fmt.Sprint(chaosMembers) {
		return fmt.Errorf("to it %s are live", live)
	}
	if waiting := gauge(metrics, "rollcall_outbox_events"); waiting != "0" {
		return fmt.Errorf("%s events wait in its outbox", waiting)
	}
	var own struct{ Tags map[string]string }
	if err := get(m.api+"/v1/tags", &own); err != nil {
		return err
	}
	for _, p := range c.parts[aProjector] {
		var answer struct {
			Nodes []struct {
				ID, State   string
				Incarnation uint64
				Tags        map[string]string
			}
		}
		if err := get(p.api+"/v1/nodes", &answer); err != nil {
			return err
		}
		known := false
		for _, n := range answer.Nodes {
			if n.ID != m.name {
				continue
			}
			known = true
			if n.State != "alive" || !maps.Equal(n.Tags, own.Tags) || fmt.Sprint(n.Incarnation) != gauge(metrics, "rollcall_incarnation") {
				return fmt.Errorf("%s has it %+v, and it says %s, incarnation %s", p.name, n, own.Tags, gauge(metrics, "rollcall_incarnation"))
			}
		}
		if !known || len(answer.Nodes) != chaosMembers {
			return fmt.Errorf("%s has %+v", p.name, answer.Nodes)
		}
	}
	return nil
}

// gauge is a figure among metrics, as it is written there.
func gauge(metrics, name string) string {
	match := regexp.MustCompile(`(?m)^` + name + `(?:\{[^}]*\})? (\S+)$`).FindStringSubmatch(metrics)
	if match == nil {
		return "nobody knows how many"
	}
	return match[1]
}

// result is what TestChaos found.
type result struct {
	accepted, waiting, agreed int // entries of outboxes: all, those on a disk at a kill, and those that the log had no use for
	unsaid                    int // that came when everybody was ended, and are on a disk
	answered                  int // changes of tags that members said they made
	stored                    int
	lost, twice, illegal      int
}

// check compares the projectors at the end of the log, and judges the log up to there. What was on its way to the log when its
// member was ended may come in the middle of that: then it begins again.
func (c *chaos) check() (r result) {
	c.t.Helper()
	end := uint64(0)
	for next := c.compare(); next != end; next = c.compare() {
		end = next
		r = c.judge(end)
	}
	within(c.t, chaosPatience, "the subscriber is at the end of the log", func() error {
		if seen := c.seen.Load(); seen < end {
			return fmt.Errorf("it is at %d, the end at %d", seen, end)
		}
		return nil
	})
	return r
}

// judge reads the whole log, and looks there for what members took upon themselves to say.
func (c *chaos) judge(end uint64) (r result) {
	c.t.Helper()
	v := verify.New(siteCluster, func(f verify.Finding) {
		if f.Severity == verify.Violation {
			r.illegal++
			c.t.Error(f)
		}
	})
	book := newLedger()
	for m, err := range c.watched.Scan(c.t.Context(), end) {
		if err != nil {
			c.t.Fatal(err)
		}
		if err := v.Next(m.Position, m.Subject, m.Body); err != nil {
			c.t.Fatal(err)
		}
		rec, err := events.Decode(m.Subject, m.Body)
		if err != nil {
			c.t.Fatal(err)
		}
		rec.Position = m.Position
		book.enter(rec)
	}
	v.End(end)
	r.stored = book.events
	for _, text := range book.twice {
		r.twice++
		c.t.Error(text)
	}
	c.account.settle(book, &r, func(text string) {
		r.lost++
		c.t.Error(text)
	})
	return r
}

// compare wants the projectors to have the same hash at the end of the log (I9), and returns where that is.
func (c *chaos) compare() (end uint64) {
	c.t.Helper()
	var sums [chaosProjectors]string
	within(c.t, chaosPatience, "the projectors show their hashes at the end of the log", func() error {
		info, err := c.watched.Info(c.t.Context())
		if err != nil {
			return err
		}
		end = info.Last
		for i, p := range c.parts[aProjector] {
			position, sum, err := sumAt(p.api)
			if err == nil && position != end {
				err = fmt.Errorf("%s is at %d, the end at %d", p.name, position, end)
			}
			if err != nil {
				return err
			}
			sums[i] = sum
		}
		return nil
	})
	if sums[0] == "" || sums[0] != sums[1] {
		c.t.Errorf("at position %d the projectors show the hashes %v (I9)", end, sums)
	}
	return end
}

func postJSON(ctx context.Context, url string, body io.Reader) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	_, err = exchange(request)
	return err
}

func fetch(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	return exchange(request)
}

// exchange makes a request on a connection of its own: who is asked may be killed.
func exchange(request *http.Request) (string, error) {
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return string(text), err
}
