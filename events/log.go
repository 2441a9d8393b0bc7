package events

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Log is the authority on what happened: one order of events, append-only, shared by every member of a cluster.
//
// jslog implements it on JetStream and memlog in memory; logtest is the suite both pass. All methods are safe for
// concurrent use.
type Log interface {
	// Append stores ev if the last event about ev.Node, or of ev.Group, is at position expect (0: there is none) and
	// returns ev's position. It fails with ErrConflict when another event came first, ErrDuplicate (as a *DuplicateError, with the
	// position) when ev is stored already, ErrTaken (as a *TakenError, with the position) when another event has its id,
	// ErrDenied when the author may not say this, ErrFull when the log takes no more, and ErrUnavailable when the outcome is
	// unknown: the event may or may not have been stored, so look at Last or LastOfGroup before trying again.
	Append(ctx context.Context, ev Event, expect uint64) (uint64, error)

	// Last returns the newest event about node, as the log's leader holds it, or ErrNotFound.
	Last(ctx context.Context, node string) (Recorded, error)

	// LastOfGroup returns the newest event of an assignment group, as the log's leader holds it, or ErrNotFound.
	LastOfGroup(ctx context.Context, group string) (Recorded, error)

	// Subscribe yields the events that pass filter in position order, each once, across reconnects and server restarts,
	// until ctx ends, the loop breaks, or nothing up to from.Through is left. An event that cannot be decoded is yielded with its position, when it was stored and a
	// *DecodeError, and the sequence goes on; any other error is the last thing yielded: ErrIncomplete when the log no longer
	// reaches back to from, ErrReplaced when it is not the log it was: that of from.Seen, one that reaches to from.Through, or
	// that which was yielded so far.
	Subscribe(ctx context.Context, filter Filter, from From) iter.Seq2[Recorded, error]

	// Info describes the log as it is now.
	Info(ctx context.Context) (Info, error)
}

// Info describes a log.
type Info struct {
	Cluster  string
	Identity string // changes when the log is deleted and made again; part of every checkpoint
	First    uint64 // position of the oldest event still there; 1 in a whole log
	Last     uint64 // position of the newest event; 0 when empty
}

// Filter chooses events. The zero value chooses all of them, of nodes and of groups; a set field must match. No event
// passes one that names a node and a group.
type Filter struct {
	Node   string
	Group  string
	Author string
	Kind   Kind
}

// Match reports whether ev passes f.
func (f Filter) Match(ev Event) bool {
	return (f.Node == "" || f.Node == ev.Node) && (f.Group == "" || f.Group == ev.Group) &&
		(f.Author == "" || f.Author == ev.Author) && (f.Kind == "" || f.Kind == ev.Kind)
}

// From says where a subscription starts, and where it ends if it is to end by itself. The zero value is the beginning of the
// log, and no end.
type From struct {
	Position uint64    // first position wanted, when not 0
	Time     time.Time // first event stored at or after this time, when not zero
	Now      bool      // only what is appended from now on
	Through  uint64    // last position wanted, which the log reaches already (see Info), when not 0; nothing behind it is read
	Seen     Mark      // what the reader has read of this log, by an earlier subscription; zero: the event before the first one wanted
}

// Mark is a place in a log: an event's position, and when the log stored it there, to the nanosecond. A log that was deleted
// and made again, or restored from an older copy, and has grown since holds another event there, stored at another time:
// the mark of what was read last tells it from the log that was read, whatever it calls itself.
type Mark struct {
	Position uint64
	Stored   time.Time
}

// Sentinels of Log. Each says whether the log changed and whether to try again.
var (
	ErrConflict    = errors.New("another event about the node or group came first")        // nothing stored; read, decide again
	ErrDuplicate   = errors.New("an event with this id is in the log already")             // stored before; done
	ErrTaken       = errors.New("another event has this id")                               // nothing stored; say it under another
	ErrDenied      = errors.New("the log does not let this author say this")               // nothing stored; do not retry as is
	ErrUnavailable = errors.New("the log did not answer")                                  // outcome unknown; read, then retry
	ErrFull        = errors.New("the log takes no more events")                            // nothing stored; retry later
	ErrNotFound    = errors.New("no such event")                                           // nothing changed
	ErrIncomplete  = errors.New("history incomplete")                                      // the log starts later than asked
	ErrReplaced    = errors.New("the log was replaced")                                    // deleted and made again, or restored
	ErrUnknownKind = errors.New("unknown event kind or version: a newer reader is needed") // stop, do not skip
)

// DuplicateError carries the position of the event that is stored already. It matches ErrDuplicate.
type DuplicateError struct{ Position uint64 }

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("%v, at position %d", ErrDuplicate, e.Position)
}

// Is reports whether target is ErrDuplicate.
func (e *DuplicateError) Is(target error) bool { return target == ErrDuplicate }

// TakenError carries the position of the event that has the id. It matches ErrTaken.
type TakenError struct{ Position uint64 }

func (e *TakenError) Error() string {
	return fmt.Sprintf("%v, at position %d", ErrTaken, e.Position)
}

// Is reports whether target is ErrTaken.
func (e *TakenError) Is(target error) bool { return target == ErrTaken }

// DecodeError says that the event at Position cannot be read. It wraps the reason.
type DecodeError struct {
	Position uint64
	Stored   time.Time // when the log accepted it
	Subject  string
	Err      error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("event at position %d (%s): %v", e.Position, e.Subject, e.Err)
}

// Unwrap returns the reason.
func (e *DecodeError) Unwrap() error { return e.Err }
