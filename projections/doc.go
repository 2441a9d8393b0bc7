// Package projections folds the log of a cluster into what people and services read: who is in which state and on whose
// word ([Registry]), what happened to each node ([Timeline]), and which worker has which shard ([Assignments]).
//
//	views := projections.New("default")
//	for rec, err := range log.Subscribe(ctx, events.Filter{}, events.From{}) {
//		... // a *events.DecodeError goes to views.Reject
//		step := views.Apply(rec)
//	}
//	node, ok := views.Registry.Node("n3")
//	workers := views.Registry.Select(selector)
//
// Promise: the views are a function of the events alone. Every fold that has seen the log up to a position holds the same
// state and encodes it to the same bytes, whether it read the log in one go, in pieces, some of it twice, or started from
// a snapshot (invariant I9). What a reader was given never changes afterwards: values are replaced, never written to. Freeze takes
// the views as they are in microseconds; the fold goes on and shares with them what it does not change.
//
// Nodes are chosen by a [Selector] over their tags; one of several is picked by PickNext, PickRandom, PickLeastLoaded or
// PickRendezvous; DiffOf says what changed between two registries, and the difference of two accounts
// what befell a node between two instants (see [Account]). A node about which an event cannot be read is [Parked].
//
// Limits: nothing here reads a clock, blocks, or starts a goroutine, and nothing is safe for concurrent use; package
// projector owns the views of a process and hands out consistent reads. The timeline keeps [HistoryMax] events a node,
// [HistoryBytesMax] bytes of them, and counts the older ones, [RejectedMax] events that could not be read, and [GroupsMax] groups of shards (invariant I15).
package projections
