package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"

	"github.com/nats-io/nkeys"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/events/outbox"
	"rollcall/events/verify"
)

// pendingMax is how many entries of an outbox are looked at: more than a member can say while a server is elected.
const pendingMax = 100_000

// result is what TestChaos found.
type result struct {
	accepted, otherwise  int // events on the disks of killed members; those that the log has in another form, or had no use for
	stored               int
	lost, twice, illegal int
}

// inspect reads what a member that was killed has on its disk and not, for all it knows, in the log.
func (c *chaos) inspect(i int) {
	c.t.Helper()
	path := filepath.Join(c.dir, "data", "pki", memberID(i), "outbox.db")
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
	for _, e := range entries {
		c.onDisk[e.Event.ID] = e.Event
	}
}

var outboxEvents = regexp.MustCompile(`(?m)^rollcall_outbox_events(\{[^}]*\})? (\S+)$`)

// settle waits until everybody is alive in every projector's views and has said all it had to say, and ends the members.
func (c *chaos) settle() {
	c.t.Helper()
	c.healthy()
	for i, api := range c.apis {
		eventually(c.t, fmt.Sprintf("p%d has everybody alive", i), func() error {
			nodes, err := listNodes(api)
			if err != nil {
				return err
			}
			alive := 0
			for _, n := range nodes {
				if n.State == "alive" {
					alive++
				}
			}
			if alive != chaosMembers {
				return fmt.Errorf("it has %v", nodes)
			}
			return nil
		})
	}
	for i, m := range c.members {
		eventually(c.t, memberID(i)+" has said everything", func() error {
			text, err := fetch(c.t.Context(), m.api+"/metrics")
			if err != nil {
				return err
			}
			if match := outboxEvents.FindStringSubmatch(text); match == nil || match[2] != "0" {
				return fmt.Errorf("its outbox: %v", match)
			}
			return nil
		})
	}
	for i, m := range c.members {
		m.kill()
		before := len(c.onDisk)
		c.inspect(i)
		if n := len(c.onDisk) - before; n > 0 {
			c.t.Logf("%s had %d new events on its disk at the end", memberID(i), n)
		}
	}
}

// check reads the whole log, judges it, and looks for what members had on their disks.
func (c *chaos) check() (r result) {
	c.t.Helper()
	var info events.Info
	eventually(c.t, "the log says how far it reaches", func() (err error) {
		info, err = c.watched.Info(c.t.Context())
		return err
	})
	at := make(map[string][]uint64)
	v := verify.New(siteCluster, func(f verify.Finding) {
		if f.Severity == verify.Violation {
			r.illegal++
			c.t.Error(f)
		}
	})
	for m, err := range c.watched.Scan(c.t.Context(), info.Last) {
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
		at[rec.ID] = append(at[rec.ID], m.Position)
		r.stored++
	}
	v.End(info.Last)
	for id, positions := range at {
		if len(positions) > 1 {
			r.twice++
			c.t.Errorf("%s is at positions %v", id, positions)
		}
	}
	r.accepted = len(c.onDisk)
	for id, ev := range c.onDisk {
		switch {
		case at[id] != nil:
		case ev.Kind.ByOwner():
			r.lost++
			c.t.Errorf("%s had %s (%s, incarnation %d) on its disk, and the log does not have it", ev.Author, ev.Kind, id, ev.Incarnation)
		default: // of others: somebody said it first, or it no longer holds
			r.otherwise++
		}
	}
	c.compare(info.Last)
	eventually(c.t, "the subscriber is at the end of the log", func() error {
		if seen := c.seen.Load(); seen < info.Last {
			return fmt.Errorf("it is at %d, the end at %d", seen, info.Last)
		}
		return nil
	})
	return r
}

// compare wants the projectors to have the same hash at the end of the log.
func (c *chaos) compare(last uint64) {
	c.t.Helper()
	var sums [chaosProjectors]string
	for i, api := range c.apis {
		eventually(c.t, fmt.Sprintf("p%d shows a hash at the end of the log", i), func() error {
			position, sum, err := sumAt(api)
			if err == nil && position != last {
				err = fmt.Errorf("it is at %d, the end at %d", position, last)
			}
			sums[i] = sum
			return err
		})
	}
	if sums[0] == "" || sums[0] != sums[1] {
		c.t.Errorf("at position %d the projectors show the hashes %v (I9)", last, sums)
	}
}

// inbox is where the answers for the user of a key arrive.
func (c *chaos) inbox(key string) string {
	c.t.Helper()
	seed, err := os.ReadFile(filepath.Join(c.cfg.Dir, key))
	if err != nil {
		c.t.Fatal(err)
	}
	pair, err := nkeys.ParseDecoratedNKey(seed)
	if err != nil {
		c.t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		c.t.Fatal(err)
	}
	return jslog.Inbox(public)
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
