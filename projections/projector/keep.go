package projector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"rollcall/events"
	"rollcall/projections"
)

const (
	// snapshotsKept is how many snapshots stay: the newest, and one before it should that one prove broken.
	snapshotsKept = 2

	// asidesKept is how many of those put aside stay, the newest.
	asidesKept = 4

	// formKept is how far the log goes on until what another version wrote is given up: long enough to go back to it.
	formKept = 30 * 24 * time.Hour

	// snapshotRest is how many times as long as a snapshot took the fold goes on before the next: a large state that is read
	// from a long log would otherwise be written more than it is folded.
	snapshotRest = 40

	// keepQueue is how many frozen views wait to be written down: as many as a fold leaves behind while a large snapshot is written.
	// Each holds the rows that were changed since.
	keepQueue = 8

	// saveTimeout bounds the writing or reading of one snapshot, listTimeout a look at what there is, and lastTimeout the writing
	// at the end of Run.
	saveTimeout = 2 * time.Minute
	listTimeout = 30 * time.Second
	lastTimeout = 30 * time.Second

	// keepLook is how often it is looked whether a snapshot is due by the clock.
	keepLook = time.Second

	// loadLooks is how often a start looks which snapshots there are, where other projectors remove what it found before it could
	// read it: each look takes as long as reading one.
	loadLooks = 4
)

// load takes the newest snapshot that can be used, puts aside those that are broken or of another cluster, and learns which
// checkpoints there are. It fails when the store is away; what it cannot read otherwise is said, and the log is read
// instead.
func (p *Projector) load(ctx context.Context) error {
	for range loadLooks {
		again, err := p.loadNewest(ctx)
		if err != nil {
			return err
		}
		if !again {
			break
		}
	}
	p.refresh(ctx)
	return nil
}

// loadNewest is one look at what there is. It reports whether another one may find more: nothing could be used, and something was
// removed meanwhile, as is done by who has written a newer one.
func (p *Projector) loadNewest(ctx context.Context) (again bool, err error) {
	list, err := p.list(ctx)
	if err != nil {
		return false, fmt.Errorf("list the snapshots in %s: %w", p.store, err)
	}
	for _, k := range ours(newestFirst(list), snapshotSuffix) {
		head, views, desc, err := p.readKept(ctx, k)
		if errors.Is(err, events.ErrUnavailable) || errors.Is(err, fs.ErrPermission) {
			return false, fmt.Errorf("read snapshot %s in %s: %w", k.Name, p.store, err)
		}
		if err == nil {
			p.restore(head, views, desc)
			p.log.Info("snapshot read", "store", p.store.String(), "name", k.Name, "position", head.Position)
			return false, nil
		}
		if gone := p.setAside(ctx, k, err); gone {
			again = true
		}
	}
	return again, nil
}

func (p *Projector) list(ctx context.Context) ([]Stored, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	return p.store.List(ctx)
}

// refresh takes in which checkpoints the store holds, whoever wrote them, and removes what is not kept any longer.
func (p *Projector) refresh(ctx context.Context) {
	list, err := p.list(ctx)
	if p.untidy = err != nil; p.untidy {
		if !errors.Is(err, context.Canceled) { // Run ends, and looks once more
			p.log.Warn("old snapshots stay", "store", p.store.String(), "error", err)
		}
		return
	}
	found := newestFirst(list)
	p.mu.Lock()
	out := p.ladder.load(ours(found, checkpointSuffix))
	stored := p.views.Stored()
	p.mu.Unlock()
	snapshots := ours(found, snapshotSuffix)
	out = append(out, snapshots[min(snapshotsKept, len(snapshots)):]...)
	asides := 0
	used := make(map[string]bool) // the forms, other than ours, that something recent was written in
	for _, k := range found {
		switch {
		case k.aside:
			if asides++; asides > asidesKept {
				out = append(out, k)
			}
		case k.form == form || used[k.form]:
		case stored.Sub(k.stored) <= formKept:
			used[k.form] = true
		default:
			out = append(out, k)
		}
	}
	p.letGo(ctx, out)
}

// restore starts from a snapshot, where no event was folded yet.
func (p *Projector) restore(head header, views *projections.Views, desc Snapshot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.views.Position() > 0 {
		return
	}
	p.views, p.identity, p.snapshot = views, head.Identity, desc
	p.recent.reset(views.Position())
	p.unshowLocked()
	p.waiting.reach(p.views.Position())
}

// readKept opens one snapshot or checkpoint and reads all of it.
func (p *Projector) readKept(ctx context.Context, k kept) (header, *projections.Views, Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	src, size, err := p.store.Open(ctx, k.Name)
	if err != nil {
		return header{}, nil, Snapshot{}, err
	}
	defer src.Close()
	return readSnapshot(src, size, p.cfg.Cluster)
}

// setAside does away with one that could not be read for the reason why: it is broken, gone, or only out of reach. It reports
// whether it is gone: one that is removed while it is read looks broken.
func (p *Projector) setAside(ctx context.Context, k kept, why error) (gone bool) {
	log := p.log.With("store", p.store.String(), "name", k.Name, "reason", why)
	broken := errors.Is(why, errSnapshot)
	if !broken && !errors.Is(why, fs.ErrNotExist) {
		log.Warn("snapshot passed over")
		return false
	}
	p.mu.Lock()
	p.ladder.drop(k.Name)
	p.mu.Unlock()
	if broken {
		aside, err := p.store.SetAside(ctx, k.Name)
		if !errors.Is(err, fs.ErrNotExist) {
			log.Warn("snapshot put aside", "as", aside, "error", err)
			return false
		}
	}
	log.Info("snapshot gone: it was removed before it was read")
	return true
}

// keep is what is to be written down: the views as they were.
type keep struct {
	id     string // in its name: of two at one position the later knows better, after a rebuild or a skip
	head   header
	views  *projections.Views
	edited uint64
	again  bool // a checkpoint that takes the place of those at its step: a rebuild knows better
}

// freeze returns the views as they are now, to be written down.
func (p *Projector) freeze(bare bool) keep {
	p.mu.Lock()
	defer p.mu.Unlock()
	return keep{
		id: events.NewID(),
		head: header{
			Cluster: p.cfg.Cluster, Identity: p.identity, Position: p.views.Position(), Taken: p.cfg.Now().UTC(), Bare: bare,
		},
		views: p.views.Freeze(), edited: p.edited,
	}
}

// bareOf is a checkpoint of views that are not the live ones.
func (p *Projector) bareOf(views *projections.Views, identity string) keep {
	return keep{
		id: events.NewID(),
		head: header{
			Cluster: p.cfg.Cluster, Identity: identity, Position: views.Position(), Taken: p.cfg.Now().UTC(), Bare: true,
		},
		views: views.Freeze(),
	}
}

// editedLocked notes that the views were changed by something else than an event, which is written down at once: the log would
// not tell it to a start from an older snapshot.
func (p *Projector) editedLocked() {
	p.edited++
	p.unshowLocked()
	select {
	case p.edits <- struct{}{}:
	default: // noted, and not looked at yet
	}
}

// keeper writes down what comes until ctx ends, beside the fold, and looks now and then whether a snapshot is due.
func (p *Projector) keeper(ctx context.Context) {
	look := time.NewTicker(min(keepLook, p.cfg.SnapshotInterval))
	defer look.Stop()
	began, before := p.cfg.Now(), p.position()
	looked := began // into the store, where others write and remove as well
	for {
		select {
		case k := <-p.keeping:
			p.save(ctx, k)
		case <-p.edits:
			p.save(ctx, p.freeze(false))
			began = p.cfg.Now()
		case <-look.C:
			now, position := p.cfg.Now(), p.position()
			if quiet := position == before; p.snapshotDue(now, began, quiet) {
				p.save(ctx, p.freeze(false))
				began = p.cfg.Now()
			}
			if before = position; now.Sub(looked) >= p.cfg.SnapshotInterval {
				looked = now
				p.refresh(ctx)
			}
		case <-ctx.Done():
			return
		}
	}
}

// snapshotDue reports whether there is anything new, and either nothing was written down for long, or the log has fallen
// silent after many events.
func (p *Projector) snapshotDue(now, began time.Time, quiet bool) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.views.Position() <= p.snapshot.Position && p.edited == p.saved || now.UnixNano() < p.resting.Load() {
		return false
	}
	many := p.views.Position()-p.snapshot.Position >= uint64(p.cfg.SnapshotEvery)
	return quiet && many || now.Sub(latest(began, p.snapshot.Taken)) >= p.cfg.SnapshotInterval
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// schedule hands to the keeper what is due as events are folded. It belongs to the fold.
type schedule struct {
	p        *Projector
	climb    climb
	snapshot uint64 // position at which the next snapshot is due
}

func (p *Projector) newSchedule() *schedule {
	position := p.position()
	return &schedule{p, climb{p: p, next: position + 1}, position + uint64(p.cfg.SnapshotEvery)}
}

// tick is called after each few events, and where the climb has something next. Where the keeper has no room, both are taken later.
func (s *schedule) tick() {
	p := s.p
	position := p.position()
	s.climb.tick(position, func() keep { return p.freeze(true) })
	if position < s.snapshot || p.cfg.Now().UnixNano() < p.resting.Load() {
		return
	}
	if len(p.keeping) > 0 { // of these, one waits at most: the room is for checkpoints
		return
	}
	if p.hand(func() keep { return p.freeze(false) }) {
		s.snapshot = position + uint64(p.cfg.SnapshotEvery)
	}
}

// hand gives the keeper what freeze returns, if it has room.
func (p *Projector) hand(freeze func() keep) bool {
	if len(p.keeping) == cap(p.keeping) {
		return false
	}
	select {
	case p.keeping <- freeze():
		return true
	default:
		return false // another fold was first
	}
}

// save writes one thing down. Failure costs time at the next start, or for a view of the past, and nothing else, so it is
// logged.
func (p *Projector) save(ctx context.Context, k keep) {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	suffix := snapshotSuffix
	if k.head.Bare {
		suffix = checkpointSuffix
	} else if p.outdated(k) {
		return
	}
	name := keptName(k.head.Position, k.views.Stored(), k.id, suffix)
	began := p.cfg.Now()
	var desc Snapshot
	err := p.store.Save(ctx, name, func(w io.Writer) (err error) {
		desc, err = writeSnapshot(w, k.head, k.views)
		return err
	})
	if err != nil {
		p.log.Error("not written down; a start, or a view of the past, reads more of the log",
			"store", p.store.String(), "name", name, "error", err)
		return
	}
	now := p.cfg.Now()
	p.log.Debug("written down", "store", p.store.String(), "name", name, "bytes", desc.Bytes, "took", now.Sub(began))
	if k.head.Bare {
		rung := kept{Stored: Stored{name, desc.Bytes}, position: k.head.Position, stored: k.views.Stored(), id: k.id}
		p.addRung(ctx, rung, k.again)
		return
	}
	p.resting.Store(now.Add(snapshotRest * now.Sub(began)).UnixNano())
	p.mu.Lock()
	p.snapshot, p.saved = desc, k.edited
	p.mu.Unlock()
	p.refresh(ctx)
}

// outdated reports whether a snapshot has waited while the views were changed and that was written down.
func (p *Projector) outdated(k keep) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return k.edited < p.saved
}

// last writes a snapshot at the end of Run, where that would hold anything new, and removes what the keeper, when it was ended, had
// begun to.
func (p *Projector) last() {
	p.mu.RLock()
	due := p.store != nil && p.identity != "" && (p.views.Position() > p.snapshot.Position || p.edited != p.saved)
	p.mu.RUnlock()
	ctx, cancel := context.WithTimeout(context.Background(), lastTimeout)
	defer cancel()
	if due {
		p.save(ctx, p.freeze(false))
	}
	if p.untidy {
		p.refresh(ctx)
	}
}
