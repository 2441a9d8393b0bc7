// Package nats writes the configuration of the NATS servers that hold a cluster's log: TLS, routes between the servers,
// JetStream that flushes before it acknowledges, and one user for each member, who may speak as that member and as
// nobody else.
//
//	written, err := nats.Generate(nats.Config{
//		Cluster: "default", Members: []string{"n1", "n2", "n3"},
//		Readers: []string{"projector", "billing"}, Projectors: []string{"projector"},
//		Servers: []nats.Server{{Host: "10.0.0.1"}, {Host: "10.0.0.2"}, {Host: "10.0.0.3"}},
//		Dir: "nats", Store: "/var/lib/nats",
//	}, time.Now())
//
// In Dir lie, afterwards:
//
//	rollcall-1.conf …      one file a server: nats-server -c rollcall-1.conf
//	users.conf             accounts, users and what each may do; the same on every server
//	tls/ca.pem             signs the servers; clients are given it to know them by
//	tls/ca-key.pem         its key; stays where it was made
//	tls/rollcall-1.pem …   each server's certificate and key, for clients and for the other servers
//	keys/member-n1.nk …    each user's seed: whoever holds it is that user
//
// The authority and the seeds are made once and kept; everything else is written again by every run, certificates
// included. So a member is added by naming it in the next run and reloading the servers, and servers' certificates are
// renewed the same way. A seed is replaced by removing its file first.
//
// # Users
//
// A member may read the log and say of itself what only it may say, of others what only others may say; a director may
// besides plan assignment groups. A reader may only read: the log, and what projectors show in NATS. A projector is a reader
// that may write that: the buckets and the answers of the service. The provisioner may make the stream and the buckets and
// nothing else; the administrator may look after streams, and say nothing. Each listens for answers at an inbox of its own, and may
// ask how the servers flush. Package jslog spells the permissions out. The user
// "system" belongs to the servers' system account, for monitoring.
//
// An nkey is an Ed25519 key pair: the server knows the public half alone, so its configuration holds no secret but the
// paths of its TLS keys.
//
// # Limits
//
// One account, one cluster's log. There is no revocation but leaving a user out of the next run. Between the servers the
// authority's certificates are the only credentials, so nobody but them may have one.
package nats
