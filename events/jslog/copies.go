package jslog

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// copyPatience is how long a copy of the stream may be behind its leader's without getting nearer. One whose server comes back needs
// seconds; one that needs longer may never be whole again until somebody restarts that server.
const copyPatience = time.Minute

// copies is what is known of the copies of the stream besides the leader's, by the name of the server.
type copies map[string]standing

// standing is how a copy that is not current stands.
type standing struct {
	since time.Time // it has not got nearer since
	lag   uint64    // entries of the leader's that it lacked at the last look
	told  bool      // that it stays behind
}

// look compares the copies, as a leader knows them, with how they stood, and returns how many have stayed behind for copyPatience.
// What is new of that is logged.
func (c copies) look(ctx context.Context, group *jetstream.ClusterInfo, now time.Time, logger *slog.Logger) (stuck int) {
	for name, was := range c {
		if slices.ContainsFunc(group.Replicas, func(peer *jetstream.PeerInfo) bool { return peer.Name == name }) {
			continue
		}
		delete(c, name) // its server leads, which says that it lacks nothing, or has left the others
		if was.told && name == group.Leader {
			caughtUp(ctx, logger, name)
		}
	}
	for _, peer := range group.Replicas {
		was, known := c[peer.Name]
		if peer.Current && !peer.Offline {
			if was.told {
				caughtUp(ctx, logger, peer.Name)
			}
			delete(c, peer.Name)
			continue
		}
		is := standing{since: now, lag: peer.Lag, told: was.told}
		if known && peer.Lag >= was.lag {
			is.since = was.since
		}
		if now.Sub(is.since) >= copyPatience {
			stuck++
			if !is.told {
				logger.WarnContext(ctx, "a copy of the log stays behind: if its server runs, restart it, and touch no other meanwhile",
					"server", peer.Name, "events", peer.Lag, "offline", peer.Offline, "leader", group.Leader)
				is.told = true
			}
		}
		c[peer.Name] = is
	}
	return stuck
}

func caughtUp(ctx context.Context, logger *slog.Logger, server string) {
	logger.InfoContext(ctx, "a copy of the log has caught up", "server", server)
}

// CopiesBehind is how many copies of a replicated stream have stayed behind its leader's for a minute or longer, as of the last look
// that there was a leader: until they catch up, what is appended is on fewer disks.
func (l *Log) CopiesBehind() int { return int(l.behind.Load()) }
