// Package kvmirror keeps a NATS key-value bucket in step with the registry: one key a node, for programs that have a NATS
// client and want nothing else.
//
//	m, err := kvmirror.New(kvmirror.Config{Projector: p, Conn: log.Conn})
//	go m.Run(ctx)
//
//	nats kv get ROLLCALL_default_nodes n3
//	nats kv watch ROLLCALL_default_nodes
//
// A value is a [Node] as JSON. It holds the position of the newest event about the node that it shows, and is replaced, under the
// revision that was read, only by one of a higher position: any number of projectors may write one bucket, in any state, and
// no value ever goes back. Now and then the whole bucket is compared with the views: what is missing, damaged, or at the same
// position not what the views say, as after a skip, a retry or a rebuild, is written again.
//
// Limits: projectors that read one event differently, by their versions or by what was skipped on one of them, replace each
// other's value of that node at each comparison. The bucket follows the projector's views within moments and is no log of its own: a watcher may miss a state that
// lasted only so long, never the last one. A parked node's value is what could be read. The bucket is a stream named KV_ROLLCALL_<cluster>_nodes;
// the projector's NATS user must be allowed to make it, or find it made ([Make]), to read it, and to publish below
// $KV.ROLLCALL_<cluster>_nodes.
package kvmirror

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/projections"
	"rollcall/projections/projector"
)

const (
	compareLimit = time.Minute // for reading the whole bucket
	requestLimit = 5 * time.Second
	pauseMin     = 100 * time.Millisecond // after a failure, doubling
	pauseMax     = 5 * time.Second
	attemptsMax  = 16 // at one value, while other projectors write the same key
	readyPoll    = 50 * time.Millisecond
)

// DefaultCompareEvery is how often the bucket is compared with the views, for what changes without an event.
const DefaultCompareEvery = 30 * time.Second

// Errors of this package.
var (
	ErrConfig = errors.New("kvmirror config") // a field is missing or out of its bounds
	errAway   = errors.New("no connection to NATS")
	errRace   = errors.New("others wrote the key every time")
)

// Config says what to mirror, and where to. Projector and Conn are required.
type Config struct {
	Projector    *projector.Projector
	Conn         func() *nats.Conn // the connection to use now; nil while there is none
	Replicas     int               // of a bucket that is made; 0: 3 where servers form a cluster, else 1
	CompareEvery time.Duration     // between two comparisons of the whole bucket with the views; 0: DefaultCompareEvery
	Logger       *slog.Logger      // nil: nothing is logged
}

// Node is a value of the bucket.
type Node struct {
	ID            string            `json:"id"`
	Address       string            `json:"address"`
	State         events.State      `json:"state"`
	Incarnation   uint64            `json:"incarnation"`
	Tags          map[string]string `json:"tags"`
	Since         time.Time         `json:"since"`
	SincePosition uint64            `json:"since_position"`
	Position      uint64            `json:"position"` // of the newest event about the node that is in all this
	Log           string            `json:"log"`      // identity of the log: positions of another are not compared
}

// Bucket is the name of a cluster's bucket.
func Bucket(cluster string) string { return "ROLLCALL_" + cluster + "_nodes" }

// Mirror writes one bucket.
type Mirror struct {
	cfg     Config
	log     *slog.Logger
	written map[string]mark // by node
}

// mark is what the bucket is known to hold for a node.
type mark struct {
	revision uint64
	position uint64 // 0: nothing that is worth keeping
	identity string
	id       string // of the node, as the value says it
}

// New returns a mirror that does nothing until Run.
func New(cfg Config) (*Mirror, error) {
	switch {
	case cfg.Projector == nil:
		return nil, fmt.Errorf("%w: Projector is missing", ErrConfig)
	case cfg.Conn == nil:
		return nil, fmt.Errorf("%w: Conn is missing", ErrConfig)
	case cfg.Replicas < 0 || cfg.Replicas > 5:
		return nil, fmt.Errorf("%w: Replicas is %d, want 0 to 5", ErrConfig, cfg.Replicas)
	case cfg.CompareEvery < 0:
		return nil, fmt.Errorf("%w: CompareEvery is %v, want 0 or more", ErrConfig, cfg.CompareEvery)
	}
	if cfg.CompareEvery == 0 {
		cfg.CompareEvery = DefaultCompareEvery
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Mirror{cfg: cfg, log: cfg.Logger}, nil
}

// Run mirrors until ctx ends. A server that is away is waited for; it is called once.
func (m *Mirror) Run(ctx context.Context) {
	wait := pauseMin
	for ctx.Err() == nil {
		err := m.mirror(ctx, func() { wait = pauseMin })
		if ctx.Err() != nil {
			return
		}
		m.log.Warn("the bucket is not kept in step; trying again", "error", err, "in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, pauseMax)
	}
}

// mirror writes until something fails. It calls inStep when everything was written.
func (m *Mirror) mirror(ctx context.Context, inStep func()) error {
	if err := m.awaitReady(ctx); err != nil {
		return err
	}
	bucket, err := m.open(ctx)
	if err != nil {
		return err
	}
	for {
		position := m.cfg.Projector.Position()
		var all []*projections.Node
		m.cfg.Projector.View(func(v *projections.Views) { all = v.Registry.Nodes() })
		if err := m.compare(ctx, bucket, all, position); err != nil {
			return err
		}
		for _, n := range all {
			if err := m.put(ctx, bucket, n); err != nil {
				return err
			}
		}
		inStep()
		if err := m.follow(ctx, bucket, position+1); err != nil {
			return err
		}
	}
}

// awaitReady waits until the views hold the whole log: what was is nobody's business any more.
func (m *Mirror) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for !m.cfg.Projector.Status().Ready {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// open returns the bucket, made if it is not there.
func (m *Mirror) open(ctx context.Context) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	conn := m.cfg.Conn()
	if conn == nil {
		return nil, errAway
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	return open(ctx, js, m.cfg.Projector.Cluster(), m.cfg.Replicas)
}

// Make makes the bucket of a cluster, with replicas copies (0: as Config says), if it is not there: for a projector whose NATS user may only write it.
func Make(ctx context.Context, conn *nats.Conn, cluster string, replicas int) error {
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	_, err = open(ctx, js, cluster, replicas)
	return err
}

func open(ctx context.Context, js jetstream.JetStream, cluster string, replicas int) (jetstream.KeyValue, error) {
	bucket, err := js.KeyValue(ctx, Bucket(cluster))
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return bucket, err
	}
	bucket, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: Bucket(cluster), Description: "The nodes of cluster " + cluster + ", one key each, written by its projectors",
		History: 1, Replicas: cmp.Or(replicas, jslog.ReplicasFor(js.Conn())), Storage: jetstream.FileStorage,
	})
	if err != nil {
		return nil, fmt.Errorf("make bucket %s: %w: it is for a user to make who may, with projector provision --kv-mirror", Bucket(cluster), err)
	}
	return bucket, nil
}

// follow writes the rows of the nodes that events from position on are about, for CompareEvery.
func (m *Mirror) follow(ctx context.Context, bucket jetstream.KeyValue, position uint64) error {
	limited, cancel := context.WithTimeout(ctx, m.cfg.CompareEvery)
	defer cancel()
	for notice, err := range m.cfg.Projector.Watch(limited, events.Filter{}, position) {
		switch {
		case errors.Is(err, projector.ErrSlow):
			return nil // everything is looked at again
		case err != nil:
			return err
		case notice.Node == "":
			continue // of an assignment group
		}
		var row *projections.Node
		m.cfg.Projector.View(func(v *projections.Views) { row, _ = v.Registry.Node(notice.Node) })
		if row == nil {
			continue // of another cluster
		}
		if err := m.put(ctx, bucket, row); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// put writes a row unless the bucket holds one as new.
func (m *Mirror) put(ctx context.Context, bucket jetstream.KeyValue, row *projections.Node) error {
	identity := m.cfg.Projector.Status().Identity
	known := m.written[row.ID]
	if known.identity == identity && known.position >= row.LastPosition {
		return nil
	}
	value, err := encode(row, identity)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	for range attemptsMax {
		revision, err := write(ctx, bucket, row.ID, value, known.revision)
		if err == nil {
			m.written[row.ID] = mark{revision, row.LastPosition, identity, row.ID}
			return nil
		}
		if !conflicts(err) {
			return fmt.Errorf("write node %s: %w", row.ID, err)
		}
		if known, err = read(ctx, bucket, row.ID); err != nil {
			return fmt.Errorf("read node %s: %w", row.ID, err)
		}
		if known.identity == identity && known.position >= row.LastPosition {
			m.written[row.ID] = known
			return nil
		}
	}
	return fmt.Errorf("write node %s: %w", row.ID, errRace)
}

// encode returns the value of a row.
func encode(row *projections.Node, identity string) ([]byte, error) {
	value, err := json.Marshal(Node{
		ID: row.ID, Address: row.Address, State: row.State, Incarnation: row.Incarnation, Tags: row.Tags, Since: row.Since,
		SincePosition: row.SincePosition, Position: row.LastPosition, Log: identity,
	})
	if err != nil {
		return nil, fmt.Errorf("encode node %s: %w", row.ID, err)
	}
	return value, nil
}

// write replaces the value at a revision; 0: there is none.
func write(ctx context.Context, bucket jetstream.KeyValue, key string, value []byte, revision uint64) (uint64, error) {
	if revision == 0 {
		return bucket.Create(ctx, key, value)
	}
	return bucket.Update(ctx, key, value, revision)
}

// conflicts reports whether err says that another value came first, in the words of one server or of several.
func conflicts(err error) bool {
	var api *jetstream.APIError
	if errors.Is(err, jetstream.ErrKeyExists) {
		return true
	}
	return errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// read says what the bucket holds under a key.
func read(ctx context.Context, bucket jetstream.KeyValue, key string) (mark, error) {
	entry, err := bucket.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return mark{}, nil
	}
	if err != nil {
		return mark{}, err
	}
	return markOf(entry), nil
}

// markOf says what an entry holds; a value that is not ours has position 0, and is replaced.
func markOf(entry jetstream.KeyValueEntry) mark {
	var n Node
	if json.Unmarshal(entry.Value(), &n) != nil {
		n = Node{}
	}
	return mark{entry.Revision(), n.Position, n.Log, n.ID}
}
