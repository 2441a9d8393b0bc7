package snapbucket

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

const (
	// chunkSize is how much one message carries; servers take up to 1 MB as a rule.
	chunkSize = 128 << 10

	// undoLimit is how long it may take to remove what was written of an object that did not come about.
	undoLimit = 5 * time.Second
)

// Save implements projector.Store. It writes what the object store of nats.go writes, one chunk at a time: that one has four
// thousand of them on their way, half a gigabyte, and may leave a goroutine behind with each object.
func (b *Bucket) Save(ctx context.Context, name string, write func(io.Writer) error) error {
	js, _, err := b.open(ctx)
	if err != nil {
		return err
	}
	u := &upload{
		ctx: ctx, js: js, subject: b.chunks() + events.NewID(), sum: sha256.New(), chunk: make([]byte, 0, chunkSize),
	}
	if err = write(u); err == nil {
		err = u.flush()
	}
	if err == nil {
		err = b.publishMeta(ctx, js, name, u)
		var refused *jetstream.APIError
		if err == nil || !errors.As(err, &refused) {
			return said(err) // it may be there: if it is not, its chunks are swept
		}
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	return errors.Join(said(err), b.purge(undo, js, u.subject))
}

// publishMeta says that the object is there: from then on it is whole.
func (b *Bucket) publishMeta(ctx context.Context, js jetstream.JetStream, name string, u *upload) error {
	body, err := json.Marshal(jetstream.ObjectInfo{
		ObjectMeta: jetstream.ObjectMeta{Name: name, Opts: &jetstream.ObjectMetaOptions{ChunkSize: chunkSize}},
		Bucket:     Name(b.cfg.Cluster), NUID: u.subject[len(b.chunks()):],
		Size: u.size, Chunks: u.sent, Digest: jetstream.GetObjectDigestValue(u.sum),
	})
	if err != nil {
		return fmt.Errorf("describe %s: %w", name, err)
	}
	msg := nats.NewMsg(b.meta(name))
	msg.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	msg.Data = body
	_, err = js.PublishMsg(ctx, msg)
	return err
}

// chunks is what the subjects of all chunks begin with, meta the subject of a name.
func (b *Bucket) chunks() string { return "$O." + Name(b.cfg.Cluster) + ".C." }

func (b *Bucket) meta(name string) string {
	return "$O." + Name(b.cfg.Cluster) + ".M." + base64.URLEncoding.EncodeToString([]byte(name))
}

// upload makes chunks of what is written to it.
type upload struct {
	ctx     context.Context
	js      jetstream.JetStream
	subject string
	sum     hash.Hash
	chunk   []byte
	size    uint64
	sent    uint32
}

func (u *upload) Write(p []byte) (n int, err error) {
	for n < len(p) {
		part := p[n:min(len(p), n+chunkSize-len(u.chunk))]
		u.chunk = append(u.chunk, part...)
		n += len(part)
		if len(u.chunk) == chunkSize {
			if err := u.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// flush sends what is there, and waits until the server has it.
func (u *upload) flush() error {
	if len(u.chunk) == 0 {
		return nil
	}
	if _, err := u.js.Publish(u.ctx, u.subject, u.chunk); err != nil {
		return err
	}
	_, _ = u.sum.Write(u.chunk) // a hash takes everything
	u.size += uint64(len(u.chunk))
	u.sent++
	u.chunk = u.chunk[:0]
	return nil
}
