// Package events is the vocabulary of a cluster's history: what its members say about each other, how it is written
// down, where it is kept, and what follows from it.
//
//   - An [Event] is one statement by one author about one node, or about one group of shards that are assigned to nodes. [Encode] and [Decode] are its form on the wire
//     (CloudEvents 1.0 JSON), [Subject] its place in the log.
//   - A [Log] holds all events of a cluster in one order. Packages jslog and memlog implement it.
//   - A [Roll] folds a log: which nodes there are, in what state, by whose word.
//
// Reading a cluster is a loop:
//
//	roll := events.NewRoll("default")
//	for rec, err := range log.Subscribe(ctx, events.Filter{}, events.From{}) {
//		if err != nil {
//			return err
//		}
//		outcome := roll.Apply(rec)
//		fmt.Println(rec.Position, rec.Author, rec.Kind, rec.Node, outcome.Result, outcome.After)
//	}
//
// Writing to it is a loop too, since others write at the same time: look at [Roll.Judge], append with the node's
// LastPosition as the expectation, and on ErrConflict read what came first and judge again.
//
// What the package promises: the fold is total and a pure function of the order (no clock, no randomness, no I/O), so
// every reader of the same positions holds the same roll. The states of a node form a legal path (I5), a node that
// failed or left comes back with a higher incarnation only (I6), which only itself can raise (I7), and fails only by the
// word of a quorum (I8). A snapshot and the rest of the log give what the whole log gives (I9). Nothing read is larger
// than the bounds named here (I15).
//
// What it does not promise: that an author tells the truth. The log lets a member speak as itself only, and a verdict
// needs a quorum, so one liar fails nobody in a cluster of three or more; as many as the quorum can. A roll grows with the number of ids that ever joined.
//
// It imports nothing of this module.
package events
