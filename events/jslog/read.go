package jslog

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// Last implements [events.Log]. The stream's leader answers, never a replica that may lag. The newest event may be one that
// cannot be decoded: Last then returns its Position and an [events.DecodeError].
func (l *Log) Last(ctx context.Context, node string) (events.Recorded, error) {
	if !events.ValidID(node) {
		return events.Recorded{}, fmt.Errorf("last event about %.80q: %w: no such id", node, events.ErrNotFound)
	}
	return l.lastUnder(ctx, events.NodeFilter(l.cfg.Cluster, node))
}

// LastOfGroup implements [events.Log], as Last does.
func (l *Log) LastOfGroup(ctx context.Context, group string) (events.Recorded, error) {
	if !events.ValidID(group) {
		return events.Recorded{}, fmt.Errorf("last event of group %.80q: %w: no such id", group, events.ErrNotFound)
	}
	return l.lastUnder(ctx, events.GroupFilter(l.cfg.Cluster, group))
}

func (l *Log) lastUnder(ctx context.Context, filter string) (events.Recorded, error) {
	k, err := l.ready()
	if err != nil {
		return events.Recorded{}, fmt.Errorf("last event under %s: %w", filter, err)
	}
	m, err := l.get(ctx, k, messageGet{Last: filter})
	if err != nil {
		l.doubt(k, err)
		return events.Recorded{}, fmt.Errorf("last event under %s: %w", filter, err)
	}
	return m.decode(nil)
}

// Info implements [events.Log]. Identity is when the stream was made.
func (l *Log) Info(ctx context.Context) (events.Info, error) {
	k, err := l.ready()
	if err != nil {
		return events.Info{}, fmt.Errorf("describe log: %w", err)
	}
	info, err := l.streamInfo(ctx, k)
	if err != nil {
		l.doubt(k, err)
		if code(err) != 0 {
			err = fmt.Errorf("%w: %w", events.ErrUnavailable, err)
		}
		return events.Info{}, fmt.Errorf("describe log: %w", err)
	}
	return events.Info{
		Cluster: l.cfg.Cluster, Identity: identity(info), First: max(1, info.State.FirstSeq), Last: info.State.LastSeq,
	}, nil
}

func identity(info *jetstream.StreamInfo) string { return info.Created.UTC().Format(time.RFC3339Nano) }
