// Package swim is Rollcall's membership protocol as a pure state machine: SWIM (Das, Gupta, Motivala 2002) with
// Lifeguard's local health (Dadgar, Phillips, Currey 2018), and ring observers in place of random probing (after Rapid,
// Suresh et al. 2018).
//
// A [Node] is one member's share of the protocol. It owns no socket, no clock, no goroutine and no global random source:
// the host hands it what happened and when, and carries out what it asks for.
//
//	n, err := swim.New(cfg, time.Now())
//	for {
//		select {
//		case in := <-inputs:          // datagrams, answers, commands
//			effects = n.Step(time.Now(), in)
//		case <-timer.C:               // n.Deadline() has come
//			effects = n.Step(time.Now(), swim.Tick())
//		}
//		for _, e := range effects { … }   // send, exchange state, report a transition
//		timer.Reset(time.Until(n.Deadline()))
//	}
//
// # Promise
//
// The same configuration, seed and sequence of (time, input) give the same effects, bit for bit. Only a member's owner
// raises its incarnation. A member is held failed only on a quorum of distinct accusers at its newest incarnation, and
// Left or Failed is final for an incarnation. Every queue and table has a bound. Step does not allocate in the steady
// state.
//
// # Limits
//
// A Node is not safe for concurrent use: one goroutine owns it (package agent). What Step returns is valid until the
// next Step. Identity is the transport's business: every ID in an [Input] is taken as proved.
package swim
