package jslog

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// StatsSubject is where NATS servers say how they are set, to users of their system account, and to those of an account that
// imports it, as the configuration of package infra/nats has it. Each server answers for itself.
const StatsSubject = "$SYS.REQ.SERVER.PING.STATSZ"

// statsLimit bounds the wait for the servers' answers: one that is away gives none.
const statsLimit = time.Second

// What an acknowledgement is worth.
const (
	flushedAlways  = "every write is flushed to disk before it is acknowledged"
	flushedUnknown = "as the server's sync_interval has it, which this user cannot ask: set \"always\", " +
		"or a power cut takes up to two minutes of acknowledged events"
	flushedLater = "a power cut takes what was acknowledged since: set sync_interval to \"always\""
)

// stats is what we want to know of a server's answer.
type stats struct {
	Server struct {
		Name string `json:"name"`
	} `json:"server"`
	Stats struct {
		JetStream *struct {
			Config struct {
				SyncAlways   bool          `json:"sync_always"`
				SyncInterval time.Duration `json:"sync_interval"`
			} `json:"config"`
		} `json:"jetstream"`
	} `json:"statsz"`
}

// durability says what an acknowledgement is worth, as far as a client can know, and how loud that is to be said.
func (l *Log) durability(ctx context.Context, k *link, info *jetstream.StreamInfo) (string, slog.Level) {
	if d, ok := l.cfg.InProcess.(durable); ok {
		return d.Durability(), slog.LevelInfo
	}
	unheard := []string{""} // a server that is alone
	if group := info.Cluster; group != nil && group.Leader != "" {
		unheard = []string{group.Leader}
		for _, peer := range group.Replicas {
			unheard = append(unheard, peer.Name)
		}
	}
	var late []string
	ctx, cancel := context.WithTimeout(ctx, statsLimit)
	defer cancel()
	for s := range k.stats(ctx) {
		i := slices.IndexFunc(unheard, func(name string) bool { return name == "" || name == s.Server.Name })
		if i < 0 || s.Stats.JetStream == nil {
			continue // it holds no copy of the stream
		}
		unheard = slices.Delete(unheard, i, i+1)
		if config := s.Stats.JetStream.Config; !config.SyncAlways {
			late = append(late, fmt.Sprintf("%s flushes every %v", s.Server.Name, config.SyncInterval))
		}
		if len(unheard) == 0 {
			break
		}
	}
	switch {
	case late != nil:
		return strings.Join(late, ", ") + ": " + flushedLater, slog.LevelWarn
	case len(unheard) > 0:
		return flushedUnknown, slog.LevelInfo
	default:
		return flushedAlways, slog.LevelInfo
	}
}

// stats yields the servers' answers until ctx ends or it is plain that none will come.
func (k *link) stats(ctx context.Context) func(yield func(stats) bool) {
	return func(yield func(stats) bool) {
		bound, release := k.bind(ctx, StatsSubject)
		defer release()
		inbox := k.nc.NewInbox()
		sub, err := k.nc.SubscribeSync(inbox)
		if err != nil {
			return
		}
		defer func() { _ = sub.Unsubscribe() }() // fails only with the connection
		if err := k.nc.PublishRequest(StatsSubject, inbox, nil); err != nil {
			return
		}
		for {
			msg, err := sub.NextMsgWithContext(bound)
			if err != nil || msg.Header.Get("Status") != "" { // nobody listens
				return
			}
			var s stats
			if json.Unmarshal(msg.Data, &s) == nil && !yield(s) {
				return
			}
		}
	}
}

// where names the server of a connection for a log line.
func (cfg Config) where(nc *nats.Conn) string {
	if cfg.InProcess != nil {
		return "in process"
	}
	return nc.ConnectedUrlRedacted()
}
