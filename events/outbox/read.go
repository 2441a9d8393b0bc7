package outbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"rollcall/events"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Entry is an event that waits for the log.
type Entry struct {
	Seq   uint64 // rises with every Put, never used twice
	Event events.Event
}

// AsideEntry is an entry put aside.
type AsideEntry struct {
	Seq    uint64
	Reason string
	Event  events.Event // the zero value when the record cannot be read
	Err    error        // why it cannot be read; nil when it can
}

// Pending returns at most limit entries after the sequence after, oldest first; 0 starts at the oldest. Entries that
// cannot be read are put aside on the way. An empty result says that there are no more.
func (o *Outbox) Pending(after uint64, limit int) ([]Entry, error) {
	for {
		entries, broken, err := o.scan(after, limit)
		if err != nil {
			return nil, fmt.Errorf("outbox %s: %w", o.path, closedError(err))
		}
		for _, b := range broken {
			// A disk that refuses this too leaves the entry where it is; it is passed over all the same.
			if err := o.SetAside(b.seq, b.reason); err != nil && !errors.Is(err, ErrNoEntry) {
				o.logger.Warn("unreadable entry stays in the queue", "seq", b.seq, "reason", b.reason, "error", err)
			}
			after = max(after, b.seq)
		}
		if len(entries) > 0 || len(broken) < limit {
			return entries, nil
		}
	}
}

type brokenEntry struct {
	seq    uint64
	reason string
}

// scan reads at most limit records after the sequence after.
func (o *Outbox) scan(after uint64, limit int) (entries []Entry, broken []brokenEntry, err error) {
	flushed := o.flushed() // before the file is looked at: what it has beyond may be gone, and forgotten, by the end
	err = o.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketPending).Cursor()
		for k, v := c.Seek(key(after + 1)); k != nil && len(entries)+len(broken) < limit; k, v = c.Next() {
			seq := binary.BigEndian.Uint64(k)
			if seq > flushed {
				break
			}
			if o.isRemoved(seq) {
				continue
			}
			ev, err := decodeRecord(v)
			if err != nil {
				broken = append(broken, brokenEntry{seq, err.Error()})
				continue
			}
			entries = append(entries, Entry{Seq: seq, Event: ev})
		}
		return nil
	})
	return entries, broken, err
}

// flushed is the sequence up to which entries may be read.
func (o *Outbox) flushed() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.newest
}

// Get returns the entry seq, or ErrNoEntry when it is not pending.
func (o *Outbox) Get(seq uint64) (Entry, error) {
	entry := Entry{Seq: seq}
	flushed := o.flushed()
	err := o.db.View(func(tx *bbolt.Tx) error {
		record := tx.Bucket(bucketPending).Get(key(seq))
		if record == nil || seq > flushed || o.isRemoved(seq) {
			return ErrNoEntry
		}
		var err error
		entry.Event, err = decodeRecord(record)
		return err
	})
	if err != nil {
		err = closedError(err)
		return Entry{}, fmt.Errorf("outbox %s: entry %d: %w", o.path, seq, err)
	}
	return entry, nil
}

// Aside returns at most limit of the entries put aside, oldest first.
func (o *Outbox) Aside(limit int) ([]AsideEntry, error) {
	var entries []AsideEntry
	err := o.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketAside).Cursor()
		for k, v := c.First(); k != nil && len(entries) < limit; k, v = c.Next() {
			e := AsideEntry{Seq: binary.BigEndian.Uint64(k)}
			var record []byte
			if e.Reason, record, e.Err = decodeAside(v); e.Err == nil {
				e.Event, e.Err = decodeRecord(record)
			}
			entries = append(entries, e)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("outbox %s: %w", o.path, closedError(err))
	}
	return entries, nil
}

// closedError gives the database's word for closed ours.
func closedError(err error) error {
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

// Oldest is the observed time of the oldest entry that waits, and whether there is one: how far the log is behind.
func (o *Outbox) Oldest() (time.Time, bool) {
	entries, err := o.Pending(0, 1)
	if err != nil || len(entries) == 0 {
		return time.Time{}, false
	}
	return entries[0].Event.Time, true
}
