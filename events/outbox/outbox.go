// Package outbox keeps what a member has to say until the log has it: a durable queue in one file.
//
//	box, err := outbox.Open(outbox.Config{Path: "data/outbox.db"})
//	...
//	err = box.Put(ev)                      // nil: on disk, flushed; the event will reach the log
//	entries, err := box.Pending(0, 100)    // the oldest, in the order they were put
//	box.Done(entries[0].Seq)               // the log has it
//
// Promise: an event whose [Outbox.Put] returned nil is there after the process is killed at any moment and after a power
// cut, in order, once, until [Outbox.Done] names it. Several goroutines' Puts share one flush. A full disk or a reached
// limit refuses new events and harms none that was accepted. An entry that cannot be read, or that the log will not
// have, is put aside with the reason: it blocks nothing, is never dropped, and returns to its place in the queue when
// the outbox is next opened, by a newer version perhaps, or after the permission was given.
//
// Limits: the file never shrinks, its room is used again. Done is flushed with the next transaction and nobody waits for
// it, so that after a crash, or a stop on a full disk, an entry can come back though the log has it: whoever drains the
// outbox recognises it by the event's id. One process at a time has the file.
package outbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// LimitDefault is how many entries an outbox takes when the configuration names no limit: days of a troubled cluster,
// about 100 MB of disk.
const LimitDefault = 100_000

const (
	lockTimeout   = time.Second // how long Open waits for a predecessor that is about to close
	retryInterval = time.Second // how often a disk that refused is tried again
	fileMode      = 0o600
	dirMode       = 0o700
)

// Sentinels of this package.
var (
	ErrFull    = errors.New("the outbox takes no more events")        // nothing was kept; try again later
	ErrLocked  = errors.New("another process has the outbox open")    // nothing changed; stop the other process
	ErrFormat  = errors.New("the outbox has a format not known here") // nothing changed; use the newer version
	ErrClosed  = errors.New("the outbox is closed")                   // nothing changed
	ErrNoEntry = errors.New("no such entry in the outbox")            // done, put aside or never there
)

// The buckets of the file.
var (
	bucketMeta    = []byte("meta")    // "format": one byte
	bucketPending = []byte("pending") // sequence, 8 bytes big endian: record
	bucketAside   = []byte("aside")   // the same sequence: reason and record
	keyFormat     = []byte("format")
	keyReserve    = []byte("reserve") // written to find out whether the disk has room again
)

const fileFormat = 1

// Config of an outbox.
type Config struct {
	Path   string       // of the file; it and its directory are made when they are not there
	Limit  int          // entries at most, those put aside included; 0 means LimitDefault
	Logger *slog.Logger // nil discards
}

// Outbox is a durable queue of events. All methods are safe for concurrent use.
type Outbox struct {
	path   string
	limit  int
	logger *slog.Logger
	db     *bbolt.DB
	update func(func(*bbolt.Tx) error) error // db.Update, where no test has the disk fail

	wake    chan struct{} // there is something to write; capacity 1
	closing chan struct{}
	stopped chan struct{} // the committer has ended

	mu       sync.Mutex
	closed   bool
	queue    []*write            // waiting for a transaction
	stored   int                 // entries on disk and not done
	reserved int                 // entries of queued writes
	aside    int                 // entries put aside
	newest   uint64              // sequence up to which entries are flushed, or gone: none behind it is read
	removed  map[uint64]struct{} // done, or of a flush that failed, and still in the file
	fault    error               // why the last transaction failed; nil when it did not
	empty    chan struct{}       // closed when stored and reserved come to 0; nil when nobody waits
}

// Open opens the outbox at cfg.Path, or makes it. It fails with ErrLocked while another process has it, with ErrFormat
// when a newer version wrote it, and for a file that is no outbox.
func Open(cfg Config) (*Outbox, error) {
	switch {
	case cfg.Path == "":
		return nil, errors.New("outbox: no path")
	case cfg.Limit < 0:
		return nil, fmt.Errorf("outbox: limit %d, want 1 or more, or 0 for %d", cfg.Limit, LimitDefault)
	case cfg.Limit == 0:
		cfg.Limit = LimitDefault
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	db, err := openFile(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("outbox %s: %w", cfg.Path, err)
	}
	o := &Outbox{
		path: cfg.Path, limit: cfg.Limit, logger: cfg.Logger.With("outbox", cfg.Path), db: db, update: db.Update,
		wake: make(chan struct{}, 1), closing: make(chan struct{}), stopped: make(chan struct{}),
		removed: make(map[uint64]struct{}),
	}
	if err := o.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("outbox %s: %w", cfg.Path, err), db.Close())
	}
	go o.commitLoop()
	return o, nil
}

// openFile opens or makes the database, and makes a new file's name durable too.
func openFile(path string) (*bbolt.DB, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, err
	}
	db, err := bbolt.Open(path, fileMode, &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("%w: stop it, or give this one a data directory of its own", ErrLocked)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return nil, fmt.Errorf("not an outbox, or damaged: %w; keep the file for inspection and start with another", err)
	case err != nil:
		return nil, err
	}
	if err := syncDir(dir); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// load checks the format, makes the buckets of a new file, gives what was put aside another chance, and counts.
func (o *Outbox) load() error {
	var format []byte
	err := o.db.View(func(tx *bbolt.Tx) error {
		if meta := tx.Bucket(bucketMeta); meta != nil {
			format = append(format, meta.Get(keyFormat)...)
		}
		if pending := tx.Bucket(bucketPending); pending != nil {
			o.newest = pending.Sequence()
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case len(format) == 0:
		return o.db.Update(makeBuckets)
	case len(format) != 1 || format[0] != fileFormat:
		return fmt.Errorf("%w: %v, want %d", ErrFormat, format, fileFormat)
	}
	if err := o.count(); err != nil || o.aside == 0 {
		return err
	}
	if err := o.update(restoreAside); err != nil {
		// A full disk, most likely: what is pending can still be drained, and that comes first.
		o.logger.Warn("entries put aside may stay there for now", "entries", o.aside, "reason", err)
	}
	return o.count() // also after a flush that failed: the file may hold them in their places then
}

// count takes the number of entries from the file. What it holds beyond newest is from a flush that failed: it is removed.
func (o *Outbox) count() error {
	return o.db.View(func(tx *bbolt.Tx) error {
		pending := tx.Bucket(bucketPending)
		inFile, aside := pending.Stats().KeyN, tx.Bucket(bucketAside).Stats().KeyN
		o.mu.Lock()
		defer o.mu.Unlock()
		c := pending.Cursor()
		for k, _ := c.Seek(key(o.newest + 1)); k != nil; k, _ = c.Next() {
			o.removed[binary.BigEndian.Uint64(k)] = struct{}{}
		}
		maps.DeleteFunc(o.removed, func(seq uint64, _ struct{}) bool { return pending.Get(key(seq)) == nil })
		o.stored, o.aside = inFile-len(o.removed), aside
		return nil
	})
}

func makeBuckets(tx *bbolt.Tx) error {
	for _, name := range [][]byte{bucketPending, bucketAside} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	return meta.Put(keyFormat, []byte{fileFormat})
}

// Len is the number of entries that are on disk and not done, without those put aside.
func (o *Outbox) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stored
}

// Accepted is how many entries were ever put, over all lives of the file, and the sequence of the newest: whoever knows what
// became of every sequence up to it has missed none. Those of a flush that failed may be among them.
func (o *Outbox) Accepted() (uint64, error) {
	var seq uint64
	err := o.db.View(func(tx *bbolt.Tx) error {
		seq = tx.Bucket(bucketPending).Sequence()
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("outbox %s: %w", o.path, closedError(err))
	}
	return seq, nil
}

// AsideLen is the number of entries put aside.
func (o *Outbox) AsideLen() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.aside
}

// Accepting returns nil when the next event would be taken, and otherwise why not: an ErrFull with its cause, or
// ErrClosed. A disk that refused is tried again every second, so that the answer recovers by itself.
func (o *Outbox) Accepting() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return ErrClosed
	}
	if err := o.admit(1); err != nil {
		return err
	}
	if o.fault != nil {
		return fmt.Errorf("outbox %s: %w: %w", o.path, ErrFull, o.fault)
	}
	return nil
}

// admit says whether n more entries fit. The caller holds mu.
func (o *Outbox) admit(n int) error {
	if held := o.stored + o.reserved + o.aside + len(o.removed); held+n > o.limit {
		return fmt.Errorf("outbox %s: %w: it holds %d of at most %d (%d of them put aside)",
			o.path, ErrFull, held, o.limit, o.aside)
	}
	return nil
}

// Wait returns when no entry is pending, or with the context's error. Entries put aside are not waited for.
func (o *Outbox) Wait(ctx context.Context) error {
	for {
		o.mu.Lock()
		if o.stored+o.reserved == 0 {
			o.mu.Unlock()
			return nil
		}
		if o.empty == nil {
			o.empty = make(chan struct{})
		}
		empty := o.empty
		o.mu.Unlock()
		select {
		case <-empty:
		case <-ctx.Done():
			return ctx.Err()
		case <-o.stopped:
			return ErrClosed
		}
	}
}

// signalEmpty wakes Wait when nothing is pending. The caller holds mu.
func (o *Outbox) signalEmpty() {
	if o.stored+o.reserved == 0 && o.empty != nil {
		close(o.empty)
		o.empty = nil
	}
}

// Close flushes what is queued and lets go of the file. Further calls do nothing.
func (o *Outbox) Close() error {
	o.mu.Lock()
	first := !o.closed
	o.closed = true
	o.mu.Unlock()
	if first {
		close(o.closing)
	}
	<-o.stopped
	return o.db.Close() // bbolt's Close is idempotent
}
