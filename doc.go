// Package rollcall makes a Go process a member of a Rollcall cluster, or lets it follow one.
//
//	log, err := jslog.Connect(ctx, jslog.Config{URL: url, Cluster: "default", Lazy: true})
//	m, err := rollcall.Join(ctx, rollcall.Options{
//		Cluster: "default", ID: "n1", Bind: bind, Seeds: seeds,
//		Credentials: identity, Log: log, Dir: "/var/lib/rollcall",
//		Tags: map[string]string{"role": "worker"},
//	})
//	defer m.Close()
//	for _, peer := range m.Registry().Alive() { … }
//	err = m.Leave(ctx)
//
// A member probes its peers over QUIC, and puts on record in the log whatever it observes: its own life, whom it suspects
// and on what evidence, which verdicts it reached. What it has to say is on its disk before it counts, and reaches the
// log when the log can be reached; meanwhile detection goes on without it.
//
// A process that only wants to know follows the log, and reads a live copy of the roll in its own memory:
//
//	replica, err := rollcall.Follow(ctx, rollcall.FollowOptions{Cluster: "default", Log: log})
//	defer replica.Close()
//	for _, node := range replica.WithTag("role", "worker") { … }
//	for change := range replica.Changes(ctx) { … }
//
// The protocol is in package swim, the log in package events, what can be asked of the log in package projections.
package rollcall
