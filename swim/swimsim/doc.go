// Package swimsim runs many swim.Nodes in one goroutine, in virtual time, over a simulated network with seeded faults and a
// simulated log. It is where the protocol is proved and measured.
//
//	w := swimsim.New(swimsim.Config{Seed: 1})
//	for i := range 128 {
//		w.Start(swimsim.Name(i))
//	}
//	w.Form()
//	w.Crash(w.Member("n7"))
//	w.Run(5 * time.Second)
//
// Above the [World] stand two users of it. [Check] makes a whole run of one seed, cluster size, network, faults and all:
// safety is checked after every step while the faults last, then everything is healed and agreement demanded. [Scenarios]
// are the measurements of docs/detection.md.
//
// # Promise
//
// The same seed gives the same run, bit for bit: every delay, loss and choice comes from one generator, events at the same
// instant happen in the order in which they were scheduled, and [World.Hash] tells two runs apart that differ in anything.
// A node is stepped as the host steps it, with encoded packets and nothing else.
//
// # Limits
//
// Links have delay, not bandwidth, and a member computes in no time. A state exchange is never lost, only cut or delayed:
// streams repeat what is lost. The log is a model of its rules (one legal history a node, quorum, one order), not of its
// servers. A World is not safe for concurrent use; several Worlds are independent.
package swimsim
