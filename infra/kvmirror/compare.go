package kvmirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/projections"
)

// errCut ends a comparison: the bucket stopped telling what it holds.
var errCut = errors.New("the subscription ended early")

// compare reads what the bucket holds and remembers it for put. What is damaged, or at the position of its row not what
// the row says, is remembered as worth nothing, so that put replaces it under the revision that was read here. A node that the
// views, at position, would have if it were in this log is taken out: it is of a log that was there before.
func (m *Mirror) compare(ctx context.Context, bucket jetstream.KeyValue, all []*projections.Node, position uint64) error {
	rows := make(map[string]*projections.Node, len(all))
	for _, row := range all {
		rows[row.ID] = row
	}
	identity := m.cfg.Projector.Status().Identity
	m.written = make(map[string]mark, len(all))
	var foreign []jetstream.KeyValueEntry
	err := each(ctx, bucket, func(entry jetstream.KeyValueEntry) error {
		row, ok := rows[entry.Key()]
		held := markOf(entry)
		if !ok {
			if identity != "" && held.id == entry.Key() && (held.identity != identity || held.position <= position) {
				foreign = append(foreign, entry)
			}
			return nil // else a node that the views do not know yet, or a key of somebody else
		}
		if held.identity == identity && held.position == row.LastPosition {
			want, err := encode(row, identity)
			if err != nil {
				return err
			}
			if !bytes.Equal(entry.Value(), want) {
				held.position = 0
			}
		}
		m.written[row.ID] = held
		return nil
	})
	if err != nil {
		return fmt.Errorf("read bucket %s: %w", bucket.Bucket(), err)
	}
	for _, entry := range foreign {
		err := bucket.Delete(ctx, entry.Key(), jetstream.LastRevision(entry.Revision()))
		switch {
		case err == nil:
			m.log.Warn("node taken out of the bucket: it is not in this log", "node", entry.Key())
		case !conflicts(err): // with whoever wrote it meanwhile, and knows better
			return fmt.Errorf("take node %s out of bucket %s: %w", entry.Key(), bucket.Bucket(), err)
		}
	}
	return nil
}

// each calls fn with every value that the bucket holds now.
func each(ctx context.Context, bucket jetstream.KeyValue, fn func(jetstream.KeyValueEntry) error) error {
	ctx, cancel := context.WithTimeout(ctx, compareLimit)
	defer cancel()
	watcher, err := bucket.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return err
	}
	defer func() {
		_ = watcher.Stop() // fails when the connection is gone, and the subscription with it
		go func() {        // whoever delivers is not left waiting for a reader; the channel closes with the subscription
			for range watcher.Updates() {
			}
		}()
	}()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case entry, open := <-watcher.Updates():
			switch {
			case !open:
				return errCut
			case entry == nil:
				return nil // that was all
			}
			if err := fn(entry); err != nil {
				return err
			}
		}
	}
}
