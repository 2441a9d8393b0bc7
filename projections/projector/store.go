package projector

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/projections"
)

// Store keeps snapshots of one cluster's views under names. A directory is one (Config.Dir), a bucket in NATS another
// (package snapbucket in infra). All methods are safe for concurrent use, also by several processes: each writes under
// names of its own, which it never writes twice.
//
// What is away for now fails with events.ErrUnavailable, and is tried again where it matters.
type Store interface {
	// List returns what is stored whole, in any order, with what was put aside.
	List(ctx context.Context) ([]Stored, error)
	// Open reads what is stored under name: exactly size bytes, or an error. It fails with fs.ErrNotExist.
	Open(ctx context.Context, name string) (content io.ReadCloser, size int64, err error)
	// Save stores what write writes, whole or not at all.
	Save(ctx context.Context, name string, write func(io.Writer) error) error
	// Remove forgets name; one that is not there is no error.
	Remove(ctx context.Context, name string) error
	// SetAside keeps the content of name for people to look at, under the name that is returned: name and AsideSuffix. It fails with
	// fs.ErrNotExist.
	SetAside(ctx context.Context, name string) (aside string, err error)
	// String says where people find it.
	String() string
}

// Stored is one name in a Store.
type Stored struct {
	Name  string
	Bytes int64
}

// AsideSuffix ends the names of what was put aside.
const AsideSuffix = ".bad"

// What a store holds. A snapshot has everything, for a start; a checkpoint leaves out what the events in the timeline said
// (projections.Views.EncodeBareTo), which makes it small enough to keep many of them, for views as of an earlier time.
const (
	snapshotSuffix   = ".snapshot"
	checkpointSuffix = ".checkpoint"
)

// form is the form of what this version writes, and can read: that of the envelope, and those of the state in it.
var form = strconv.Itoa(snapshotFormat) + "-" + projections.StateVersion()

// kept is a snapshot or a checkpoint in a store, as its name tells.
type kept struct {
	Stored
	position uint64
	stored   time.Time // when the log accepted the event at position
	id       string    // one's own; see older
	form     string    // what another version wrote is left to it
	suffix   string
	aside    bool
}

// keptName is <position>-<nanoseconds>-<id>.<form><suffix>, with an id of its own, as events have them; numbers have a fixed
// width, so that names sort as positions do, and then as they were made (see older).
func keptName(position uint64, stored time.Time, id, suffix string) string {
	return fmt.Sprintf("%020d-%019d-%s.%s%s", position, max(0, stored.UnixNano()), id, form, suffix)
}

// parseKept reads a name that keptName made, of whatever form.
func parseKept(s Stored) (k kept, ok bool) {
	k.Stored = s
	name, aside := strings.CutSuffix(s.Name, AsideSuffix)
	k.aside = aside
	head, form, _ := strings.Cut(name, ".")
	for _, suffix := range []string{snapshotSuffix, checkpointSuffix} {
		if rest, ok := strings.CutSuffix("."+form, suffix); ok {
			k.form, k.suffix = strings.TrimPrefix(rest, "."), suffix
		}
	}
	part := strings.SplitN(head, "-", 3)
	if k.suffix == "" || len(part) != 3 || len(part[0]) != 20 || len(part[1]) != 19 {
		return kept{}, false
	}
	position, err := strconv.ParseUint(part[0], 10, 64)
	nanos, nerr := strconv.ParseInt(part[1], 10, 64)
	if err != nil || nerr != nil {
		return kept{}, false
	}
	k.position, k.stored, k.id = position, time.Unix(0, nanos).UTC(), part[2]
	return k, true
}

// older orders what is kept, as slices.SortFunc has it: by position, and of two at one position by when they were made. Ids tell that,
// but for those of earlier versions, which are shorter, and older than any other.
func older(a, b kept) int {
	return cmp.Or(cmp.Compare(a.position, b.position), cmp.Compare(len(a.id), len(b.id)), cmp.Compare(a.id, b.id),
		cmp.Compare(a.Name, b.Name))
}

// newestFirst returns what is kept, newest first.
func newestFirst(list []Stored) (found []kept) {
	for _, s := range list {
		if k, ok := parseKept(s); ok {
			found = append(found, k)
		}
	}
	slices.SortFunc(found, func(a, b kept) int { return older(b, a) })
	return found
}

// ours are those of found that this version can read, with the suffix.
func ours(found []kept, suffix string) (out []kept) {
	for _, k := range found {
		if k.form == form && k.suffix == suffix && !k.aside {
			out = append(out, k)
		}
	}
	return out
}
