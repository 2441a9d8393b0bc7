package recorder

import (
	"context"
	"errors"

	"rollcall/events"
)

// feed folds the log into the roll, from where it stands, until ctx ends or the log is no longer the one it was. A log
// that is away does not end the subscription; what does may be put right, a permission for instance, so it is tried again.
func (r *Recorder) feed(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		before := r.Position()
		err := r.subscribe(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, events.ErrReplaced), errors.Is(err, events.ErrIncomplete):
			return err
		}
		if r.Position() > before {
			attempt = 0
		}
		if attempt == 0 {
			r.logger.Warn("reading the log was interrupted", "position", r.Position(), "reason", err)
		}
		if sleep(ctx, backoff(attempt)) != nil {
			return nil
		}
	}
}

// subscribe folds until the subscription ends and returns why it did.
func (r *Recorder) subscribe(ctx context.Context) error {
	from := events.From{Position: r.Position() + 1, Seen: r.seen} // one roll is of one log, however often reading begins anew
	for rec, err := range r.cfg.Log.Subscribe(ctx, events.Filter{}, from) {
		var unreadable *events.DecodeError
		switch {
		case errors.As(err, &unreadable):
			r.skip(unreadable)
		case err != nil:
			return err
		default:
			r.fold(rec)
		}
		r.seen = rec.Mark()
	}
	return errors.New("the subscription ended")
}

// fold applies one event and wakes who waits for it.
func (r *Recorder) fold(rec events.Recorded) {
	r.mu.Lock()
	out := r.roll.Apply(rec)
	if rec.Author == r.self {
		if l := r.landing[rec.ID]; l != nil {
			l.found, l.kind, l.result = true, rec.Kind, out.Result
		}
		switch rec.Kind {
		case events.Suspected, events.Accused, events.Failed:
			r.said[rec.Node] = max(r.said[rec.Node], rec.Incarnation)
		}
	}
	r.mu.Unlock()
	if r.cfg.OnEvent != nil {
		r.cfg.OnEvent(rec, out)
	}
	r.advance(rec.Position, rec.Node)
}

// skip passes over an event that nobody can read: as every fold refuses it, it changes nothing but the node's last
// position. One that only a newer version can read is another matter: nothing more can be decided about its node.
func (r *Recorder) skip(e *events.DecodeError) {
	ev, _ := events.ParseSubject(e.Subject) // as much of it as there is
	node := ev.Node
	if errors.Is(e, events.ErrUnknownKind) && node != "" {
		r.logger.Error("a newer version wrote to the log: nothing is recorded about the node until this member is upgraded",
			"node", node, "author", ev.Author, "position", e.Position, "reason", e.Err)
	} else {
		r.logger.Warn("unreadable event passed over", "subject", e.Subject, "position", e.Position, "reason", e.Err)
	}
	if errors.Is(e, events.ErrUnknownKind) && node != "" {
		r.mu.Lock()
		r.newer.add(node)
		r.mu.Unlock()
	}
	r.advance(e.Position, node)
	if node == "" && ev.Group == "" { // an append about anybody may have to expect it
		r.mu.Lock()
		r.wakeLanes()
		r.mu.Unlock()
	}
}

// advance says that position, an event about node, was read.
func (r *Recorder) advance(position uint64, node string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fed = position
	if r.moved != nil {
		close(r.moved)
		r.moved = nil
	}
	if l := r.lanes[node]; l != nil {
		l.newest = position
		signal(l.wake)
	}
	if node == r.self { // our word may count from now on, about everybody
		r.wakeLanes()
	}
}

// wakeLanes has every draft that waits looked at again. The caller holds mu.
func (r *Recorder) wakeLanes() {
	for _, l := range r.lanes {
		signal(l.wake)
	}
}

// NewerMax is how many nodes with events from a newer version are told apart. Where there are more, nothing is recorded about
// any node until the member is upgraded.
const NewerMax = 1024

// newerEvents are the nodes of which only a newer version knows everything. It is not safe for concurrent use.
type newerEvents struct {
	nodes map[string]bool
	more  bool // there are more than NewerMax: it may be any node
}

func (n *newerEvents) add(node string) {
	if len(n.nodes) < NewerMax {
		n.nodes[node] = true
	} else if !n.nodes[node] {
		n.more = true
	}
}

// about reports whether node may be one of them.
func (n *newerEvents) about(node string) bool { return n.more || n.nodes[node] }
