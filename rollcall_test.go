package rollcall_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall"
	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/events/outbox"
	"rollcall/infra/certs"
	"rollcall/infra/loopback"
	"rollcall/swim"
	"rollcall/swim/agent"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait: only what never comes reaches it.
const patience = time.Minute

const cluster = "test"

var (
	anyPort = netip.MustParseAddrPort("127.0.0.1:0")
	nobody  = netip.MustParseAddrPort("127.0.0.1:9") // where no member is
)

// house is what members of a test have in common: a log in memory and an authority, and then their sockets are real, or in
// a bubble an ether.
type house struct {
	t     *testing.T
	ca    *certs.CA
	log   *memlog.Log
	ether *ether
}

func newHouse(t *testing.T) *house {
	t.Helper()
	ca, err := certs.NewCA(cluster, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return &house{t: t, ca: ca, log: memlog.New(cluster)}
}

// options of a member with a directory of its own.
func (h *house) options(id string, seeds ...netip.AddrPort) rollcall.Options {
	h.t.Helper()
	opt := rollcall.Options{Cluster: cluster, ID: id, Seeds: texts(seeds...), Log: h.log, Dir: h.t.TempDir()}
	if h.ether != nil {
		opt.Bind, opt.Transport = h.ether.address(), h.ether.listen
		return opt
	}
	identity, err := h.ca.Identity(id, time.Now(), 30*time.Minute)
	if err != nil {
		h.t.Fatal(err)
	}
	opt.Bind, opt.Credentials = anyPort, identity
	return opt
}

func texts(addrs ...netip.AddrPort) (texts []string) {
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	return texts
}

// join starts a member and closes it when the test ends.
func (h *house) join(opt rollcall.Options) *rollcall.Member {
	h.t.Helper()
	m, err := rollcall.Join(h.t.Context(), opt)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		if err := m.Close(); err != nil {
			h.t.Errorf("close %s: %v", opt.ID, err)
		}
	})
	return m
}

func (h *house) bounded() context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.t.Context()), patience)
	h.t.Cleanup(cancel)
	return ctx
}

// story is what the log says, one event a text.
func (h *house) story() []string {
	h.t.Helper()
	ctx := h.bounded()
	info, err := h.log.Info(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	if info.Last == 0 {
		return nil
	}
	var story []string
	for rec, err := range h.log.Subscribe(ctx, events.Filter{}, events.From{}) {
		if err != nil {
			h.t.Fatal(err)
		}
		story = append(story, fmt.Sprintf("%s %s %d", rec.Node, rec.Kind, rec.Incarnation))
		if rec.Position == info.Last {
			break
		}
	}
	return story
}

func (h *house) wantStory(want ...string) {
	h.t.Helper()
	if got := h.story(); !slices.Equal(got, want) {
		h.t.Errorf("the log says %q, want %q", got, want)
	}
}

// eventually waits until hold returns nil, and fails with what it last said.
func eventually(t *testing.T, what string, hold func() error) {
	t.Helper()
	deadline := time.After(patience)
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		err := hold()
		if err == nil {
			return
		}
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("%s: not after %v: %v", what, patience, err)
		}
	}
}

// sees waits until m's own view has id in state.
func sees(t *testing.T, m *rollcall.Member, id swim.ID, state swim.State) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s sees %s %v", m.ID(), id, state), func() error {
		if got, ok := m.Registry().Get(id); !ok || got.State != state {
			return fmt.Errorf("it sees %v", m.Registry().All())
		}
		return nil
	})
}

func (h *house) drained(m *rollcall.Member) {
	h.t.Helper()
	if err := m.Drained(h.bounded()); err != nil {
		h.t.Fatal(err)
	}
}

func TestJoinAndLeave(t *testing.T) {
	t.Parallel()
	inBubble(t, func(h *house) {
		first := h.options("n1")
		var heard []string
		first.OnEvent = func(rec events.Recorded, out events.Outcome) {
			heard = append(heard, fmt.Sprintf("%d %s %s %v", rec.Position, rec.Node, rec.Kind, out.Result))
		}
		n1 := h.join(first)
		h.drained(n1)
		second := h.options("n2", n1.Addr())
		second.Tags = map[string]string{"role": "worker"}
		n2 := h.join(second)
		<-n2.Joined()
		sees(h.t, n1, "n2", swim.Alive)
		sees(h.t, n2, "n1", swim.Alive)
		if peer, _ := n1.Registry().Get("n2"); peer.Addr != n2.Addr() || !slices.Equal(peer.Tags, swim.Tags{{Key: "role", Value: "worker"}}) {
			h.t.Errorf("n1 knows n2 as %+v", peer)
		}
		h.drained(n2)
		if err := n2.SetTags(h.t.Context(), map[string]string{"role": "web"}); err != nil {
			h.t.Fatal(err)
		}
		if err := n2.Leave(h.bounded()); err != nil {
			h.t.Fatal(err)
		}
		sees(h.t, n1, "n2", swim.Left)
		h.wantStory("n1 joined 1", "n2 joined 1", "n2 tagged 2", "n2 left 2")
		if err := n1.Close(); err != nil {
			h.t.Fatal(err)
		}
		if want := []string{"1 n1 joined applied", "2 n2 joined applied", "3 n2 tagged applied", "4 n2 left applied"}; !slices.Equal(heard, want) {
			h.t.Errorf("n1 heard %q, want %q (I10)", heard, want)
		}
	})
}

// I1: whoever is told that tags are changed may die at once, with the log away: the change is on disk.
func TestSetTagsReturnsWhenOnDisk(t *testing.T) {
	t.Parallel()
	inBubble(t, func(h *house) {
		n1 := h.join(h.options("n1"))
		h.drained(n1)
		h.log.SetAvailable(false)
		for n := 1; n <= 50; n++ {
			if err := n1.SetTags(h.bounded(), map[string]string{"n": fmt.Sprint(n)}); err != nil {
				h.t.Fatal(err)
			}
			if kept := n1.Status().Outbox; kept != n {
				h.t.Fatalf("after %d changes the outbox has %d", n, kept)
			}
		}
		ctx, cancel := context.WithCancel(h.t.Context())
		cancel()
		if err := n1.SetTags(ctx, nil); err == nil {
			h.t.Error("SetTags under a context that has ended says that it is on disk")
		}
		h.log.SetAvailable(true)
		h.drained(n1)
	})
}

// A crash is one to the others; a Close tells them at least that the connection ended.
func TestKillIsNoticed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	n1 := h.join(h.options("n1"))
	n2 := h.join(h.options("n2", n1.Addr()))
	n3 := h.join(h.options("n3", n1.Addr()))
	for _, m := range []*rollcall.Member{n1, n2} {
		for _, id := range []swim.ID{"n1", "n2", "n3"} {
			sees(t, m, id, swim.Alive)
		}
	}
	h.drained(n3)
	if err := n3.Kill(); err != nil {
		t.Fatal(err)
	}
	sees(t, n1, "n3", swim.Failed)
	sees(t, n2, "n3", swim.Failed)
	last, _ := n1.Registry().Get("n3") // on a busy machine n3 may have been suspected before, and have refuted that
	suspected, failed := fmt.Sprint("n3 suspected ", last.Incarnation), fmt.Sprint("n3 failed ", last.Incarnation)
	eventually(t, "the log has the verdict", func() error { // a view changes before anything is said
		if story := h.story(); !slices.Contains(story, failed) {
			return fmt.Errorf("it says %q", story)
		}
		return nil
	})
	h.drained(n1)
	h.drained(n2)
	if story := h.story(); count(story, suspected) != 1 || count(story, failed) != 1 || count(story, "n3 left") != 0 {
		t.Errorf("the log says %q, want %s and %s, once, and not left", story, suspected, failed)
	}
}

// count is how much of a story begins with beginning.
func count(story []string, beginning string) (n int) {
	for _, said := range story {
		if strings.HasPrefix(said, beginning) {
			n++
		}
	}
	return n
}

// Who asks seeds that do not answer is a member of nothing yet, and nobody's to speak of, however it ends.
func TestNothingIsSaidBeforeJoined(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, end := range map[string]func(*rollcall.Member) error{
		"close": (*rollcall.Member).Close,
		"kill":  (*rollcall.Member).Kill,
		"leave": func(m *rollcall.Member) error { return m.Leave(h.bounded()) },
	} {
		m := h.join(h.options("n1", nobody))
		select {
		case <-m.Joined():
			t.Errorf("%s: joined, and nobody was there", name)
		default:
		}
		if err := end(m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.wantStory()
}

// A seed that comes late is found.
func TestSeedsAreAskedAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := h.options("n1")
	first.Bind = netip.MustParseAddrPort(loopback.Addr(t))
	n2 := h.join(h.options("n2", first.Bind))
	h.join(first)
	select {
	case <-n2.Joined():
	case <-time.After(patience):
		t.Fatal("n2 does not find its seed")
	}
	sees(t, n2, "n1", swim.Alive)
}

// I6, I7: each life is above the ones before, whichever of the directory and the log remembers them.
func TestIncarnationRises(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]func(h *house, opt *rollcall.Options){
		"the directory and the log remember": func(*house, *rollcall.Options) {},
		"the directory alone remembers":      func(h *house, opt *rollcall.Options) { h.log = memlog.New(cluster); opt.Log = h.log },
		"the log alone remembers":            func(h *house, opt *rollcall.Options) { opt.Dir = h.t.TempDir() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			opt := h.options("n1")
			for life := range uint64(3) {
				if life > 0 {
					forget(h, &opt)
				}
				m := h.join(opt)
				if got := m.Status().Self.Incarnation; got != life+1 {
					t.Errorf("life %d has incarnation %d, want %d", life+1, got, life+1)
				}
				h.drained(m)
				if err := m.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// After the highest incarnation there is no life: nothing wraps, however often it is tried (I7).
func TestIncarnationsEnd(t *testing.T) {
	t.Parallel()
	inBubble(t, func(h *house) {
		opt := h.options("n1")
		file := filepath.Join(opt.Dir, "incarnation")
		for _, last := range []uint64{swim.IncarnationMax - 1, swim.IncarnationMax, math.MaxUint64} {
			text := strconv.FormatUint(last, 10)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				h.t.Fatal(err)
			}
			if m, err := rollcall.Join(h.t.Context(), opt); m != nil || err == nil || !strings.Contains(err.Error(), "another id") {
				h.t.Errorf("after %d: %v, want the advice to take another id", last, err)
			}
			if kept, err := os.ReadFile(file); err != nil || string(kept) != text {
				h.t.Errorf("after %d the directory remembers %q, %v", last, kept, err)
			}
		}
	})
}

// A log that is away at the start holds nobody up; the directory says how far earlier lives got.
func TestStartWithoutTheLog(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	opt := h.options("n1")
	m := h.join(opt)
	h.drained(m)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	h.log.SetAvailable(false)
	m = h.join(opt)
	if got := m.Status().Self.Incarnation; got != 2 {
		t.Errorf("incarnation %d, want 2", got)
	}
	h.log.SetAvailable(true)
	h.drained(m)
	h.wantStory("n1 joined 1", "n1 joined 2")
}

// With neither directory nor log a member begins at 1, and rises when the log comes back and knows better (I7).
func TestRisesAboveWhatTheLogRemembers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	opt := h.options("n1")
	for range 2 {
		m := h.join(opt)
		h.drained(m)
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	h.log.SetAvailable(false)
	opt.Dir = t.TempDir()
	m := h.join(opt)
	if got := m.Status().Self.Incarnation; got != 1 {
		t.Errorf("incarnation %d, want 1: nothing says otherwise", got)
	}
	h.log.SetAvailable(true)
	eventually(t, "the member is above what the log remembers", func() error {
		if got := m.Status().Self.Incarnation; got != 3 {
			return fmt.Errorf("incarnation %d, want 3", got)
		}
		return nil
	})
	eventually(t, "the log knows", func() error {
		if story := h.story(); !slices.Equal(story, []string{"n1 joined 1", "n1 joined 2", "n1 joined 3"}) {
			return fmt.Errorf("it says %q", story)
		}
		return nil
	})
}

// What a member says while the log is away is on its disk, and its next life says it (I1, I11).
func TestOutboxSurvives(t *testing.T) {
	t.Parallel()
	inBubble(t, func(h *house) {
		opt := h.options("n1")
		m := h.join(opt)
		h.drained(m)
		h.log.SetAvailable(false)
		if err := m.SetTags(h.t.Context(), map[string]string{"k": "v"}); err != nil {
			h.t.Fatal(err)
		}
		short, cancel := context.WithTimeout(h.t.Context(), 200*time.Millisecond)
		defer cancel()
		if err := m.Leave(short); err != nil {
			h.t.Errorf("leave: %v", err)
		}
		h.log.SetAvailable(true)
		m = h.join(opt)
		h.drained(m)
		h.wantStory("n1 joined 1", "n1 tagged 2", "n1 left 2", "n1 joined 3")
	})
}

func TestDirectoryBelongsToOneProcess(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	opt := h.options("n1")
	m := h.join(opt)
	second, err := rollcall.Join(t.Context(), opt)
	if !errors.Is(err, outbox.ErrLocked) || second != nil {
		t.Fatalf("a second member on the directory: %v, want outbox.ErrLocked", err)
	}
	if !strings.Contains(err.Error(), filepath.Join(opt.Dir, "outbox.db")) {
		t.Errorf("%v: does not say which directory", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	h.join(opt)
}

// A start that fails or is given up lets go of everything it took: the next one on the same directory succeeds.
func TestJoinFails(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	boom := errors.New("no socket today")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx    context.Context
		change func(*rollcall.Options)
		want   error
	}{
		"no transport": {t.Context(), func(o *rollcall.Options) {
			o.Transport = func(swim.ID, netip.AddrPort) (agent.Transport, error) { return nil, boom }
		}, boom},
		"bad protocol":        {t.Context(), func(o *rollcall.Options) { o.Protocol.Rings = -1 }, nil},
		"an ended context":    {over, func(*rollcall.Options) {}, context.Canceled},
		"another's directory": {t.Context(), func(o *rollcall.Options) { o.Dir = filepath.Join(o.Dir, "outbox.db") }, nil},
	} {
		opt := h.options("n1")
		h.join(opt).Close()
		broken := opt
		c.change(&broken)
		if m, err := rollcall.Join(c.ctx, broken); m != nil || err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		} else if !strings.Contains(err.Error(), "member n1") {
			t.Errorf("%s: %v: does not say whose start failed", name, err)
		}
		if err := h.join(opt).Close(); err != nil {
			t.Errorf("%s: the next start: %v", name, err)
		}
	}
}

// A start that waits for a log that is away ends with its context.
func TestJoinIsGivenUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.log.SetAvailable(false)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if m, err := rollcall.Join(ctx, h.options("n1")); m != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("join: %v, want the context's error", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	h := newHouse(t)
	for field, change := range map[string]func(*rollcall.Options){
		"Cluster":     func(o *rollcall.Options) { o.Cluster = "a.b" },
		"ID":          func(o *rollcall.Options) { o.ID = "" },
		"Bind":        func(o *rollcall.Options) { o.Bind = netip.AddrPort{} },
		"Log":         func(o *rollcall.Options) { o.Log = nil },
		"Dir":         func(o *rollcall.Options) { o.Dir = "" },
		"Credentials": func(o *rollcall.Options) { o.Credentials = nil },
		"Tags":        func(o *rollcall.Options) { o.Tags = map[string]string{"": "v"} },
	} {
		opt := h.options("n1")
		change(&opt)
		if m, err := rollcall.Join(t.Context(), opt); m != nil || err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: error %v does not name it", field, err)
		}
	}
	h.wantStory()
}

// A member whose only seed is gone for good comes back through those that the log knows, and is heard (I12).
func TestReturnsWithoutItsSeed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	seed := h.join(h.options("n1"))
	h.join(h.options("n2", seed.Addr()))
	opt := h.options("n3", seed.Addr())
	m := h.join(opt)
	h.drained(m)
	if err := seed.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := m.Kill(); err != nil {
		t.Fatal(err)
	}
	m = h.join(opt)
	h.drained(m) // which waits for the joining
	if n := m.Status().Self; n.Incarnation < 2 {
		t.Errorf("incarnation %d, want a later life's", n.Incarnation)
	}
}
