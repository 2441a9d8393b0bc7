// Package projector keeps the views of one log up to date in one process and lets many readers read them.
//
//	p, err := projector.Open(projector.Config{Log: log, Cluster: "default", Dir: dir})
//	go func() { done <- p.Run(ctx) }()
//	err = p.WaitFor(ctx, position)
//	p.View(func(v *projections.Views) { node, ok = v.Registry.Node("n3") })
//	for notice, err := range p.Watch(ctx, events.Filter{}, position) { ... }
//
// One goroutine reads the log and another folds; a third asks the log once a second how far it reaches, which is the heartbeat:
// it tells a view that is up to date from one whose log is away. Position and state move together: a snapshot holds both,
// and a start reads the newest whole snapshot and the rest of the log. They lie in a directory, or in a [Store] that several
// projectors share, and are written beside the fold. One that is broken, or of another cluster, is put aside and the log is read
// instead; what another version wrote is left to that version. Checkpoints, smaller, stand along the log, and AsOf goes on from the one before the instant asked for.
//
// Promise: readers see the views at one position, never between two, and never before one that anybody was told of. Watch yields every position once and in order (I10).
// A log that does not answer is waited for; the views stay readable and their lag grows. Run gives up only where going on
// would show something that the log does not say: its history no longer reaches back (events.ErrIncomplete), it is not
// the log it was (events.ErrReplaced), or it speaks a newer language (events.ErrUnknownKind).
//
// Limits: an event that cannot be read is counted, kept with its reason and parks its node; the fold goes on. Memory is
// bounded by the views, by PastMax views of the past, by the last RecentMax events, and by what readers hold (I15);
// CheckpointsMax and CheckpointBytesMax bound what is kept of the past, and AsOfMax how far a view of the past is folded.
package projector
