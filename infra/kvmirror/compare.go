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
// the row says, is remembered as worth nothing, so that put replaces it under the revision that was read here.
func (m *Mirror) compare(ctx context.Context, bucket jetstream.KeyValue, all []*projections.Node) error {
	rows := make(map[string]*projections.Node, len(all))
	for _, row := range all {
		rows[row.ID] = row
	}
	identity := m.cfg.Projector.Status().Identity
	m.written = make(map[string]mark, len(all))
	err := each(ctx, bucket, func(entry jetstream.KeyValueEntry) error {
		row, ok := rows[entry.Key()]
		if !ok {
			return nil // a node that the views do not know yet, or a key of somebody else
		}
		held := markOf(entry)
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
