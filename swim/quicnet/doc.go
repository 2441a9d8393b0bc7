// Package quicnet carries SWIM over QUIC: it is the agent's Transport for real networks.
//
//	transport, err := quicnet.Listen(quicnet.Config{
//		Cluster: "default", ID: "n1", Bind: netip.MustParseAddrPort("127.0.0.1:7946"),
//		Credentials: identity, // certificate, key and roots of this member; they may change while it runs
//		ResetKey:    key,      // kept beside the member's data, so that peers notice a restart at once
//	})
//	transport.Serve(handler)
//	transport.Send(peer, ping)                                  // returns at once
//	from, reply, err := transport.Exchange(ctx, peer, request)  // one stream, one answer
//	err = transport.Close(ctx)                                  // peers know at once that it left
//
// What it promises:
//
//   - Every id handed to the Handler was proved in a TLS 1.3 handshake that both sides authenticate: the peer's
//     certificate is signed by a CA that the credentials trust and carries exactly one URI SAN,
//     spiffe://rollcall/<cluster>/<id>. Nobody else gets a byte through. Resumption and 0-RTT are off, so no packet is
//     delivered twice.
//   - One UDP socket carries all messages in both directions, and one connection a pair carries both members' datagrams and streams. When
//     two members dial each other at once, both keep the connection that the lower id dialled.
//   - Send never blocks and every queue has a bound. The pool makes room by closing what was used longest ago; it
//     waits for nobody, and what it holds is counted from its tables, so that no slot can get lost.
//   - A peer that left, that was restarted, or (on Linux) whose process is gone is reported within a millisecond of the
//     next packet. One peer of the agent's choice, and whoever chose this member, is watched by an idle TCP connection at
//     the same port, the tether: the end of its process is reported at once. These are hints: both can be forged.
//
// What it does not promise: that a datagram arrives. QUIC acknowledges datagrams before the application sees them, so an
// acknowledgement says nothing about the peer's health and is not shown to the caller. Path MTU discovery is off: when a
// path shrinks, discovery loses the larger pings without an error.
//
// Listen sets QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING in the process's environment unless it is set already: the buffer's
// size is reported once in the transport's own log.
package quicnet
