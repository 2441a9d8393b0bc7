package quicnet

import (
	"context"
	"log/slog"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/qlog"
	"github.com/quic-go/quic-go/qlogwriter"
)

// drops counts what passed the screen and QUIC dropped all the same. quic-go tells of it only to a tracer, of which there are two
// kinds. The transport's hears of packets that are of no connection, and costs nothing where there are none. A connection's
// hears of packets that carry its ID and fail its keys, changed on the way or forged by somebody who sees what the peers
// send, and of copies too late for the screen. But that one is also told of every packet, frame and timer, which makes three
// times as many allocations in a ping or a state exchange, for as long as the member lives. So connections are traced only
// for a logger that takes debug records. It is told, too, what was dropped and why.
type drops struct{ t *Transport }

// ofConnections is the tracer of connections, nil without one.
func (d drops) ofConnections() func(context.Context, bool, quic.ConnectionID) qlogwriter.Trace {
	if !d.t.logger.Enabled(context.Background(), slog.LevelDebug) {
		return nil
	}
	return func(context.Context, bool, quic.ConnectionID) qlogwriter.Trace { return d }
}

func (d drops) AddProducer() qlogwriter.Recorder { return d }
func (d drops) SupportsSchemas(string) bool      { return false }
func (d drops) Close() error                     { return nil }

func (d drops) RecordEvent(e qlogwriter.Event) {
	dropped, ok := e.(qlog.PacketDropped)
	if !ok {
		return
	}
	d.t.logger.Debug("packet dropped", "why", dropped.Trigger, "bytes", dropped.Raw.Length)
	switch dropped.Trigger {
	case qlog.PacketDropDuplicate:
		d.t.stats.replayed.Add(1)
	case qlog.PacketDropKeysUnavailable: // one that was overtaken in a handshake
	case qlog.PacketDropDOSPrevention: // one too many, whoever sent it
	default:
		d.t.stats.foreign.Add(1)
	}
}
