package outbox

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"rollcall/events"

	"go.etcd.io/bbolt"
)

// Why a committer of our own: a flush costs milliseconds, whatever it carries. One goroutine runs the transactions, and
// everything that arrives while one is being flushed goes into the next, so that the cost is shared by whoever waits and
// nobody waits for a timer. Removals ride along; a batch of writes that the disk refuses fails its callers, and the
// removals stay queued, for they are what makes room.
//
// A flush that fails may have failed behind the write: the file, as this process reads it, then holds a transaction whose
// callers were told that it failed, and will say all of it again. So nothing new is read before its flush has succeeded, and
// after a failure the file is asked what there is: what it holds of new entries goes with the next transaction.

// batchMax bounds the writes of one transaction, and with them the memory that it holds.
const batchMax = 1024

// reserveSize is what a disk must take before it counts as well again: an event of the largest size, with its pages.
const reserveSize = 2 * events.BodyMax

// write is one caller's part of a transaction.
type write struct {
	apply   func(pending, aside *bbolt.Bucket) error
	entries int        // that it adds to pending
	moved   int        // that apply took from pending to aside
	done    chan error // capacity 1
}

// Put keeps evs, in order and all or none, and returns when they are on disk. ErrFull: the limit is reached or the disk
// refuses, nothing was kept; but where a flush failed, a process that is killed soon afterwards may leave them in the file, to
// be found by the next one beside those that were put again. events.ErrInvalid: an event that no log would take, nothing was
// kept.
func (o *Outbox) Put(evs ...events.Event) error {
	if len(evs) == 0 {
		return nil
	}
	records := make([][]byte, len(evs))
	for i, ev := range evs {
		var err error
		if records[i], err = encodeRecord(ev); err != nil {
			return fmt.Errorf("outbox %s: %w", o.path, err)
		}
	}
	return o.commit(&write{entries: len(records), apply: func(pending, _ *bbolt.Bucket) error {
		for _, record := range records {
			seq, err := pending.NextSequence()
			if err != nil {
				return err
			}
			if err := pending.Put(key(seq), record); err != nil {
				return err
			}
		}
		return nil
	}})
}

// Replace puts ev in the place of the entry seq, on disk when it returns nil. ErrNoEntry when that is not pending. After
// ErrFull either may be there.
func (o *Outbox) Replace(seq uint64, ev events.Event) error {
	record, err := encodeRecord(ev)
	if err != nil {
		return fmt.Errorf("outbox %s: %w", o.path, err)
	}
	if o.isRemoved(seq) {
		return ErrNoEntry
	}
	missing := false
	err = o.commit(&write{apply: func(pending, _ *bbolt.Bucket) error {
		if missing = pending.Get(key(seq)) == nil; missing {
			return nil
		}
		return pending.Put(key(seq), record)
	}})
	if err == nil && missing {
		return ErrNoEntry
	}
	return err
}

// SetAside takes the entry seq out of the queue and keeps it with the reason, on disk when it returns nil. ErrNoEntry when
// it is not pending. After ErrFull it may be in either place.
func (o *Outbox) SetAside(seq uint64, reason string) error {
	if o.isRemoved(seq) {
		return ErrNoEntry
	}
	w := new(write)
	w.apply = func(pending, aside *bbolt.Bucket) error {
		record := pending.Get(key(seq))
		if record == nil {
			return nil
		}
		if err := aside.Put(key(seq), encodeAside(reason, record)); err != nil {
			return err
		}
		w.moved = 1
		return pending.Delete(key(seq))
	}
	if err := o.commit(w); err != nil {
		return err
	}
	if w.moved == 0 {
		return ErrNoEntry
	}
	o.logger.Warn("entry put aside", "seq", seq, "reason", reason)
	return nil
}

// Done takes the entries seqs out of the queue: the log has them. It does not wait for the disk. An entry that is not
// pending must not be named.
func (o *Outbox) Done(seqs ...uint64) {
	o.mu.Lock()
	for _, seq := range seqs {
		if _, twice := o.removed[seq]; !twice {
			o.removed[seq] = struct{}{}
			o.stored--
		}
	}
	o.signalEmpty()
	o.mu.Unlock()
	o.poke()
}

func (o *Outbox) isRemoved(seq uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, removed := o.removed[seq]
	return removed
}

// commit queues a write and waits for its transaction.
func (o *Outbox) commit(w *write) error {
	w.done = make(chan error, 1)
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return ErrClosed
	}
	if w.entries > 0 {
		if err := o.admit(w.entries); err != nil {
			o.mu.Unlock()
			return err
		}
	}
	o.queue = append(o.queue, w)
	o.reserved += w.entries
	o.mu.Unlock()
	o.poke()
	return <-w.done
}

func (o *Outbox) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// commitLoop runs the transactions until Close, and the queued ones after it.
func (o *Outbox) commitLoop() {
	defer close(o.stopped)
	retry := time.NewTimer(retryInterval)
	retry.Stop()
	for {
		closing := false
		select {
		case <-o.wake:
		case <-retry.C:
			o.probe()
		case <-o.closing:
			closing = true
		}
		for o.commitBatch() {
		}
		if closing {
			return
		}
		if o.faulty() {
			retry.Reset(retryInterval)
		}
	}
}

func (o *Outbox) faulty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.fault != nil
}

// commitBatch runs one transaction and reports whether to go on at once.
func (o *Outbox) commitBatch() bool {
	o.mu.Lock()
	batch := o.queue[:min(len(o.queue), batchMax)]
	o.queue = o.queue[len(batch):]
	if len(o.queue) == 0 {
		o.queue = nil // let the array go
	}
	// In order, so that equal histories leave equal files.
	removed := slices.Sorted(maps.Keys(o.removed))
	o.mu.Unlock()
	if len(batch) == 0 && len(removed) == 0 {
		return false
	}
	var newest uint64
	err := o.update(func(tx *bbolt.Tx) error {
		pending, aside := tx.Bucket(bucketPending), tx.Bucket(bucketAside)
		pending.FillPercent = 1 // keys only rise
		for _, seq := range removed {
			if err := pending.Delete(key(seq)); err != nil {
				return err
			}
		}
		for _, w := range batch {
			if err := w.apply(pending, aside); err != nil {
				return err
			}
		}
		newest = pending.Sequence()
		return nil
	})
	if err != nil {
		err = errors.Join(err, o.count())
	}
	o.settle(batch, removed, newest, err)
	return err == nil || len(batch) > 0 // after a failure the rest is tried, or failed, without the removals' retry
}

// settle counts what a transaction did and answers its callers. newest is the sequence that the file has come to with it.
func (o *Outbox) settle(batch []*write, removed []uint64, newest uint64, err error) {
	o.mu.Lock()
	for _, w := range batch {
		o.reserved -= w.entries
		if err == nil {
			o.stored += w.entries - w.moved
			o.aside += w.moved
		}
	}
	if err == nil {
		o.newest = newest
		for _, seq := range removed {
			delete(o.removed, seq)
		}
	}
	o.signalEmpty()
	o.mu.Unlock()
	if err != nil || len(batch) > 0 {
		o.setFault(err) // removals alone need hardly any room: that they succeed says nothing
	}
	if err != nil {
		err = fmt.Errorf("outbox %s: %w: %w", o.path, ErrFull, err)
	}
	for _, w := range batch {
		w.done <- err
	}
}

// probe finds out whether a disk that refused has room again for an event of any size. What it wrote is free for the
// next one.
func (o *Outbox) probe() {
	err := o.update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketMeta).Put(keyReserve, make([]byte, reserveSize))
	})
	if err == nil {
		err = o.update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keyReserve) })
	}
	o.setFault(err)
}

// setFault keeps why the disk refuses, with a line in the log when that begins and when it is over.
func (o *Outbox) setFault(err error) {
	o.mu.Lock()
	before := o.fault
	o.fault = err
	o.mu.Unlock()
	switch {
	case err != nil && before == nil:
		o.logger.Error("the disk refuses: no event is accepted until it has room again", "reason", err)
	case err == nil && before != nil:
		o.logger.Info("the disk takes events again")
	}
}
