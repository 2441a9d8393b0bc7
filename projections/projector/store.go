package projector

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Store keeps snapshots of one cluster's views under names. A directory is one (Config.Dir), a bucket in NATS another
// (package snapbucket in infra). All methods are safe for concurrent use, also by several processes: each writes under
// names of its own, which it never writes twice.
//
// What is away for now fails with events.ErrUnavailable, and is tried again where it matters.
type Store interface {
	// List returns what is stored whole, in any order.
	List(ctx context.Context) ([]Stored, error)
	// Open reads what is stored under name: exactly size bytes, or an error. It fails with fs.ErrNotExist.
	Open(ctx context.Context, name string) (content io.ReadCloser, size int64, err error)
	// Save stores what write writes, whole or not at all.
	Save(ctx context.Context, name string, write func(io.Writer) error) error
	// Remove forgets name; one that is not there is no error.
	Remove(ctx context.Context, name string) error
	// SetAside takes name out of List and keeps its content for people to look at, under the name that is returned.
	SetAside(ctx context.Context, name string) (aside string, err error)
	// String says where people find it.
	String() string
}

// Stored is one name in a Store.
type Stored struct {
	Name  string
	Bytes int64
}

// What a store holds. A snapshot has everything, for a start; a checkpoint leaves out what the events in the timeline said
// (projections.Views.EncodeBareTo), which makes it small enough to keep many of them, for views as of an earlier time.
const (
	snapshotSuffix   = ".snapshot"
	checkpointSuffix = ".checkpoint"
)

// kept is a snapshot or a checkpoint in a store, as its name tells.
type kept struct {
	Stored
	position uint64
	stored   time.Time // when the log accepted the event at position
}

// keptName is <position>-<nanoseconds>-<who wrote it><suffix>; numbers have a fixed width, so that names sort as positions do.
func keptName(position uint64, stored time.Time, writer, suffix string) string {
	return fmt.Sprintf("%020d-%019d-%s%s", position, max(0, stored.UnixNano()), writer, suffix)
}

// parseKept reads a name that keptName made.
func parseKept(s Stored, suffix string) (kept, bool) {
	rest, ok := strings.CutSuffix(s.Name, suffix)
	part := strings.SplitN(rest, "-", 3)
	if !ok || len(part) != 3 || len(part[0]) != 20 || len(part[1]) != 19 {
		return kept{}, false
	}
	position, err := strconv.ParseUint(part[0], 10, 64)
	nanos, nerr := strconv.ParseInt(part[1], 10, 64)
	if err != nil || nerr != nil {
		return kept{}, false
	}
	return kept{Stored: s, position: position, stored: time.Unix(0, nanos).UTC()}, true
}
