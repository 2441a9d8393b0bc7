// Package assignment gives the shards of a group to workers and keeps them there: a director plans, workers work, and the
// log says who has what.
//
//	director, err := assignment.NewDirector(assignment.DirectorConfig{
//		Cluster: "default", Group: "orders", Self: "n1", Shards: shards, Selector: "role=worker",
//		Log: log, Views: views,
//	})
//	…
//	go director.Run(ctx) // on every member that may direct: one does, the others stand by
//
//	worker, err := assignment.NewWorker(assignment.WorkerConfig{Group: "orders", Self: "n4", Views: views})
//	…
//	err = worker.Run(ctx, func(ctx context.Context, s assignment.Assigned) {
//		… // work on s.Shard until ctx ends; hand s.Fence along with every write
//	})
//
// Promise. Of two directors one writes: a plan is appended under the expectation that the group's newest event is the one
// the director knew, so one that was asleep while another took over is refused by the log itself. Who directs is decided by
// the fold: the author of the newest plan, until it resigned, left or failed; then any live member. A plan moves as little as
// it can, and no more than the bound goes to one worker ([Spread]). When a worker fails or leaves, its shards are nobody's
// from the position of that very event on, before any director has done anything.
//
// Limits. A worker that is cut off goes on until its view has been stale for StaleMax, while another may have been given
// its shards: only the fence tells the two apart. It rises with every assignment of a shard, and whatever the workers write
// to has to refuse a fence lower than the highest it has seen. A group has at most [events.ShardsMax] shards.
package assignment
