package quicnet

import "sync/atomic"

// Stats counts since [Listen]; Connections, Peers and Tethers are of this moment.
type Stats struct {
	Connections int // open, those included that are about to close
	Peers       int // ids with an open connection, or one being dialled
	Tethers     int // standing, either way

	Sent, SentBytes         uint64 // datagrams handed to QUIC
	Received, ReceivedBytes uint64 // datagrams handed to the handler
	Exchanges               uint64 // state exchanges answered well, on either side

	// Datagrams dropped before they were sent: too long or empty, pushed out of a full queue, addressed to nobody (no valid
	// id or address, or this member), to an address that was not reached a moment ago or that the pool has no room for or may
	// not dial at once with so many others, or lost with their connection.
	DroppedOversize, DroppedQueueFull, DroppedNoPeer, DroppedBackoff, DroppedLost uint64
	// Packets that this host did not let out: its interface's queue was full, a firewall refused them, the interface was down, there
	// was no way to the peer. Counted on Linux; QUIC sends again what was in them, but for datagrams.
	DroppedByHost uint64
	// What was dropped on arrival because of its form: datagrams that are empty or too long, streams that are not an exchange, packets
	// longer than QUIC reads.
	DroppedMalformed uint64
	// Packets dropped unread: those that had arrived before, by the network's doing or somebody's (or from a peer that says once
	// more that it is closing), and those that are of no connection or no QUIC at all. What QUIC answers with a stateless reset
	// nobody counts, as it does what is meant for an earlier life of this process. With a logger that takes debug records,
	// and at its price, both are complete: copies that come after 512 other packets, and packets that carry the ID of a connection
	// and fail its keys, are dropped in any case and counted only then.
	DroppedReplayed, DroppedForeign uint64

	Dials             uint64 // begun
	DialsFailed       uint64 // for whatever reason
	HandshakesRefused uint64 // incoming ones that did not end in a connection, and dials that met the wrong certificate
	Conflicts         uint64 // processes seen under this member's id
	Evictions         uint64 // connections closed to make room
	IdleCloses        uint64 // connections closed because they carried nothing
	Superseded        uint64 // connections closed because another of the same pair took over
	Unreachable       uint64 // reports of the network that nothing listens at a peer's port
	TethersFailed     uint64 // dials of a tether that led nowhere
	TethersRefused    uint64 // incoming ones that no member made, or too many at once
	TethersCut        uint64 // tethers that ended without a word, as when the peer's process dies
}

type counters struct {
	sent, sentBytes, received, receivedBytes, exchanges   atomic.Uint64
	oversize, queueFull, noPeer, backoff, lost, malformed atomic.Uint64
	byHost, replayed, foreign                             atomic.Uint64
	dials, dialsFailed, refused, conflicts                atomic.Uint64
	evictions, idleCloses, superseded, unreachable        atomic.Uint64
	tethersFailed, tethersRefused, tethersCut             atomic.Uint64
	tethers                                               atomic.Int64
}

// Stats reads the counters. They are read one after the other: sums may be off by what happened meanwhile.
func (t *Transport) Stats() Stats {
	t.mu.Lock()
	connections, peers := len(t.links), len(t.peers)
	t.mu.Unlock()
	c := t.stats
	return Stats{
		Connections: connections, Peers: peers,
		Sent: c.sent.Load(), SentBytes: c.sentBytes.Load(),
		Received: c.received.Load(), ReceivedBytes: c.receivedBytes.Load(), Exchanges: c.exchanges.Load(),
		DroppedOversize: c.oversize.Load(), DroppedQueueFull: c.queueFull.Load(), DroppedNoPeer: c.noPeer.Load(),
		DroppedBackoff: c.backoff.Load(), DroppedLost: c.lost.Load(), DroppedMalformed: c.malformed.Load(),
		DroppedByHost: c.byHost.Load(), DroppedReplayed: c.replayed.Load(), DroppedForeign: c.foreign.Load(),
		Dials: c.dials.Load(), DialsFailed: c.dialsFailed.Load(), HandshakesRefused: c.refused.Load(),
		Conflicts: c.conflicts.Load(), Evictions: c.evictions.Load(), IdleCloses: c.idleCloses.Load(),
		Superseded: c.superseded.Load(), Unreachable: c.unreachable.Load(),
		Tethers: int(c.tethers.Load()), TethersFailed: c.tethersFailed.Load(), TethersRefused: c.tethersRefused.Load(),
		TethersCut: c.tethersCut.Load(),
	}
}
