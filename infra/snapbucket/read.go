package snapbucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// chunkWait is how long one chunk is waited for.
const chunkWait = 10 * time.Second

// Open implements projector.Store. It asks for one chunk at a time: the object store of nats.go waits for chunks that are not
// there for as long as it is allowed to, and cannot tell them from a server that is away.
func (b *Bucket) Open(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	js, store, err := b.open(ctx)
	if err != nil {
		return nil, 0, err
	}
	info, err := store.GetInfo(ctx, name)
	if err != nil {
		return nil, 0, said(err)
	}
	stream, err := js.Stream(ctx, "OBJ_"+Name(b.cfg.Cluster))
	if err != nil {
		return nil, 0, said(err)
	}
	return &download{ctx: ctx, stream: stream, subject: b.chunks() + info.NUID, chunks: info.Chunks}, int64(info.Size), nil
}

// download reads the chunks of one object. It ends early, with io.ErrUnexpectedEOF, where the bucket does not hold them.
type download struct {
	ctx     context.Context
	stream  jetstream.Stream
	subject string
	chunks  uint32 // of the object
	read    uint32 // chunks, so far
	next    uint64 // sequence in the stream, at least
	chunk   []byte
}

func (d *download) Read(p []byte) (int, error) {
	for len(d.chunk) == 0 {
		if d.read == d.chunks {
			return 0, io.EOF
		}
		if err := d.fetch(); err != nil {
			return 0, err
		}
	}
	n := copy(p, d.chunk)
	d.chunk = d.chunk[n:]
	return n, nil
}

func (d *download) fetch() error {
	ctx, cancel := context.WithTimeout(d.ctx, chunkWait)
	defer cancel()
	msg, err := d.stream.GetMsg(ctx, d.next, jetstream.WithGetMsgSubject(d.subject))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return d.missing(ctx)
	}
	if err != nil {
		return fmt.Errorf("read a chunk: %w", said(err))
	}
	d.chunk, d.next, d.read = msg.Data, msg.Sequence+1, d.read+1
	return nil
}

// missing says why a chunk was not found: a replica that answers may be behind the leader, who knows.
func (d *download) missing(ctx context.Context) error {
	info, err := d.stream.Info(ctx, jetstream.WithSubjectFilter(d.subject))
	switch {
	case err != nil:
		return said(err)
	case info.State.Subjects[d.subject] >= uint64(d.chunks):
		return fmt.Errorf("%w: a replica of the bucket is behind", events.ErrUnavailable)
	default:
		return io.ErrUnexpectedEOF
	}
}

// Close implements io.Closer.
func (d *download) Close() error { return nil }
