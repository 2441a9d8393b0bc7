// Package jslog is the [events.Log] on NATS JetStream: one stream a cluster, one legal history a node.
//
//	log, err := jslog.Connect(ctx, jslog.Config{URL: "nats://127.0.0.1:4222", Cluster: "default", Name: "n1", Lazy: true})
//	if err != nil {
//		return err
//	}
//	defer log.Close()
//	position, err := log.Append(ctx, event, expect)
//	for rec, err := range log.Subscribe(ctx, events.Filter{Kind: events.Failed}, events.From{Now: true}) { … }
//
// # What it promises
//
// An event that Append returned a position for is in the stream (I1), as durable as the server's sync setting makes it:
// the embedded server flushes before it acknowledges; other servers are asked, where the user may ask ([StatsSubject]), and
// the log line at the start says what they answered, or that they could not be asked. Every append about a node names the same expectation filter, [events.NodeFilter], because a
// replicated leader compares appends in flight by that string; of racing appends exactly one is stored. The event's id
// goes along as message id, so that a retry within [duplicateWindow] is answered with the position of the first try.
//
// A subscription yields each position once and in order (I10), across reconnects, server restarts and lost consumers: it
// reads through a consumer of its own that starts at an explicit position, and after any trouble makes another one behind
// the last event yielded. It looks each time at which stream it reads from, and that the event read last is still in its
// place: a stream that was restored from a backup is as old as it was.
//
// # Availability
//
// The connection is kept for ever: it is tried again with a jittered pause of at most [pauseMax]. While the server is away
// Append, Last and Info answer [events.ErrUnavailable] at once and Subscribe waits; nothing is buffered to be sent
// later. The stream's settings are compared with what the log needs at every connect and every few seconds, and nothing is
// written to or read from a stream that is known to be one that could lose history ([ErrDrift]).
//
// # Limits
//
// A body is at most [events.BodyMax] bytes. JetStream must be of version 2.11 or newer. Permissions are the server's to
// enforce; [MemberPermissions] says which ones a member needs.
package jslog
