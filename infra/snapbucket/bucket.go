// Package snapbucket keeps the snapshots of projectors in a JetStream object store, so that any of them starts from what any
// of them wrote, on whichever machine.
//
//	store, err := snapbucket.New(snapbucket.Config{Cluster: "default", Conn: log.Conn})
//	p, err := projector.Open(projector.Config{Log: log, Cluster: "default", Store: store})
//
// Promise: what is listed is whole. A name is written once and by one projector, so nobody replaces what another one reads; the
// one that reads while another removes is told so, and reads the next. The form of what is kept is that of
// docs/formats/snapshot.md, which has a checksum.
//
// Limits: what a killed projector left half-written is removed by the next one that looks, once it is older than
// [orphanAge]; what was put aside, for being broken or of another cluster, stays under its name with .bad behind it
// until projectors have put aside four more. The bucket is a stream named OBJ_ROLLCALL_<cluster>_snapshots; the projector's NATS user must be
// allowed to make it, or find it made (projector provision --snapshots).
package snapbucket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/projections/projector"
)

const (
	// orphanAge is when chunks that belong to nothing are given up: far longer than it takes to write a snapshot.
	orphanAge = 10 * time.Minute

	// sweepEvery is how often they are looked for.
	sweepEvery = 10 * time.Minute
)

// ErrConfig says that a field of Config is missing or out of its bounds.
var ErrConfig = errors.New("snapbucket config")

// Config says where the bucket is. Cluster and Conn are required.
type Config struct {
	Cluster  string
	Conn     func() *nats.Conn // the connection to use now; nil while there is none
	Replicas int               // of a bucket that is made; 0: 3 where servers form a cluster, else 1
	Now      func() time.Time  // nil: time.Now
}

// Name is that of a cluster's bucket.
func Name(cluster string) string { return "ROLLCALL_" + cluster + "_snapshots" }

// Bucket is a projector.Store. It reaches for NATS when it is used, and fails with events.ErrUnavailable while that is away.
type Bucket struct {
	cfg Config

	mu    sync.Mutex
	swept time.Time // when orphans were looked for last
}

var _ projector.Store = (*Bucket)(nil)

// New returns the bucket without a look at it.
func New(cfg Config) (*Bucket, error) {
	switch {
	case !events.ValidID(cfg.Cluster):
		return nil, fmt.Errorf("%w: Cluster %.80q is not an id", ErrConfig, cfg.Cluster)
	case cfg.Conn == nil:
		return nil, fmt.Errorf("%w: Conn is missing", ErrConfig)
	case cfg.Replicas < 0 || cfg.Replicas > 5:
		return nil, fmt.Errorf("%w: Replicas is %d, want 0 to 5", ErrConfig, cfg.Replicas)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Bucket{cfg: cfg}, nil
}

// Make makes the bucket if it is not there: for projectors whose NATS user may only write it.
func (b *Bucket) Make(ctx context.Context) error {
	_, _, err := b.open(ctx)
	return err
}

func (b *Bucket) String() string { return "NATS bucket " + Name(b.cfg.Cluster) }

func (b *Bucket) open(ctx context.Context) (jetstream.JetStream, jetstream.ObjectStore, error) {
	conn := b.cfg.Conn()
	if conn == nil || !conn.IsConnected() {
		return nil, nil, fmt.Errorf("%w: no connection to NATS", events.ErrUnavailable)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, nil, err
	}
	name := Name(b.cfg.Cluster)
	store, err := js.ObjectStore(ctx, name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		store, err = js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{
			Bucket: name, Description: "Snapshots of the views of cluster " + b.cfg.Cluster + ", written by its projectors",
			Storage: jetstream.FileStorage, Replicas: cmp.Or(b.cfg.Replicas, jslog.ReplicasFor(conn)),
		})
		if err != nil {
			err = fmt.Errorf("make bucket %s: %w: it is for a user to make who may, with projector provision --snapshots", name, err)
		}
	}
	return js, store, said(err)
}

// said says of an error whether to try again.
func said(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrObjectNotFound), errors.Is(err, jetstream.ErrUpdateMetaDeleted):
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrConnectionClosed),
		errors.Is(err, nats.ErrDisconnected), errors.Is(err, context.DeadlineExceeded), errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("%w: %w", events.ErrUnavailable, err)
	default:
		return err
	}
}

// List implements projector.Store.
func (b *Bucket) List(ctx context.Context) ([]projector.Stored, error) {
	js, store, err := b.open(ctx)
	if err != nil {
		return nil, err
	}
	infos, err := store.List(ctx, jetstream.ListObjectsShowDeleted())
	if err != nil && !errors.Is(err, jetstream.ErrNoObjectsFound) {
		return nil, said(err)
	}
	var list []projector.Stored
	known := make(map[string]bool)
	for _, info := range infos {
		switch {
		case info.Deleted: // half removed
			if err := b.forget(ctx, js, info.Name); err != nil {
				return nil, err
			}
		default:
			known[info.NUID] = true
			list = append(list, projector.Stored{Name: info.Name, Bytes: int64(info.Size)})
		}
	}
	return list, b.sweep(ctx, js, known)
}

// Remove implements projector.Store.
func (b *Bucket) Remove(ctx context.Context, name string) error {
	js, store, err := b.open(ctx)
	if err != nil {
		return err
	}
	err = store.Delete(ctx, name)
	if err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
		return said(err)
	}
	return b.forget(ctx, js, name)
}

// SetAside implements projector.Store.
func (b *Bucket) SetAside(ctx context.Context, name string) (string, error) {
	_, store, err := b.open(ctx)
	if err != nil {
		return "", err
	}
	aside := name + projector.AsideSuffix
	return aside, said(store.UpdateMeta(ctx, name, jetstream.ObjectMeta{Name: aside}))
}

// forget removes what a deleted name leaves behind, which is little, but for ever.
func (b *Bucket) forget(ctx context.Context, js jetstream.JetStream, name string) error {
	return b.purge(ctx, js, b.meta(name))
}

// purge removes what the bucket holds under the subject.
func (b *Bucket) purge(ctx context.Context, js jetstream.JetStream, subject string) error {
	stream, err := js.Stream(ctx, "OBJ_"+Name(b.cfg.Cluster))
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(subject))
	}
	return said(err)
}

// sweep removes chunks that belong to none of the known objects and are too old to belong to one that is being written.
func (b *Bucket) sweep(ctx context.Context, js jetstream.JetStream, known map[string]bool) error {
	b.mu.Lock()
	now := b.cfg.Now()
	due := now.Sub(b.swept) >= sweepEvery
	if due {
		b.swept = now
	}
	b.mu.Unlock()
	if !due {
		return nil
	}
	stream, err := js.Stream(ctx, "OBJ_"+Name(b.cfg.Cluster))
	if err != nil {
		return said(err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(b.chunks()+">"))
	if err != nil {
		return said(err)
	}
	for subject := range info.State.Subjects {
		if known[strings.TrimPrefix(subject, b.chunks())] {
			continue
		}
		last, err := stream.GetLastMsgForSubject(ctx, subject)
		if err != nil || now.Sub(last.Time) < orphanAge {
			continue // gone meanwhile, or on its way
		}
		if err := b.purge(ctx, js, subject); err != nil {
			return err
		}
	}
	return nil
}
