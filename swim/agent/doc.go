// Package agent runs one [swim.Node]: a single goroutine owns it, feeds it what arrives and the time, and carries out
// what it asks for.
//
//	a, err := agent.Start(agent.Config{Node: cfg, Transport: t, Record: recorder.Record})
//	n, err := a.Join(ctx, seeds)
//	a.Registry().Alive()
//	sub := a.Subscribe(64)
//	a.Leave(ctx)
//	a.Close()
//
// # Promise
//
// The protocol never waits for a reader, a disk or a peer: datagrams that find the inbox full are dropped and counted,
// slow subscribers are told how much they missed, state exchanges run beside the loop. Transitions that are this
// member's own to record reach Record in order, each once, and are never dropped; a Record that cannot keep up for
// [recordQueue] transitions stops the loop rather than losing one.
//
// # Limits
//
// The agent judges nothing: every rule of the protocol is in package swim. Nothing here knows QUIC or the log.
package agent
