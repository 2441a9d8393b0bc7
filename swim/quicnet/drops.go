package quicnet

import (
	"context"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/qlog"
	"github.com/quic-go/quic-go/qlogwriter"
)

// drops counts packets that QUIC drops unread. quic-go tells of them only to a tracer, which it tells everything else too: that
// makes twice as many allocations in a ping, and no measurable time. It serves the transport and each of its connections.
type drops struct{ stats *counters }

// connection is the tracer of a connection.
func (d drops) connection(context.Context, bool, quic.ConnectionID) qlogwriter.Trace { return d }

func (d drops) AddProducer() qlogwriter.Recorder { return d }
func (d drops) SupportsSchemas(string) bool      { return false }
func (d drops) Close() error                     { return nil }

func (d drops) RecordEvent(e qlogwriter.Event) {
	dropped, ok := e.(qlog.PacketDropped)
	if !ok {
		return
	}
	switch dropped.Trigger {
	case qlog.PacketDropDuplicate:
		d.stats.replayed.Add(1)
	case qlog.PacketDropKeysUnavailable: // one that was overtaken in a handshake
	default:
		d.stats.foreign.Add(1)
	}
}
