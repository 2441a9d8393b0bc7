package jslog

import "rollcall/events"

// Permissions are subjects that a NATS user may publish to and subscribe to, and none besides.
type Permissions struct {
	Publish   []string
	Subscribe []string
	Deny      []string // exceptions from Publish, where a wildcard cannot say it
}

// InboxShared is where answers arrive when nothing else is said: at subjects that every user of an account may listen to.
const InboxShared = "_INBOX"

// Inbox is where the answers arrive for a user with this public key, and for nobody else who may listen there alone. It is
// what [Connect] takes of its own when the user is an nkey or a credentials file.
func Inbox(publicKey string) string { return InboxShared + "." + publicKey }

// ReaderPermissions returns what a user needs to read the log of cluster, and nothing to write it with; to read the bucket that
// projectors mirror the nodes to; to ask their service; and to ask the servers how they flush. Answers arrive below inbox:
// the user's own [Inbox], or [InboxShared].
//
// A consumer is part of reading, so a reader may make one and remove one. Consumers of others have names that cannot be
// guessed and that a reader cannot list. A consumer may also push, to a subject of its maker's choice at which somebody
// subscribed to that very subject listens: so nobody may subscribe to what a stream takes, and what arrives at the
// republished subjects is a hint that there is something to read, and only what is read from the stream is the log's word.
func ReaderPermissions(cluster, inbox string) Permissions {
	stream := events.StreamName(cluster)
	p := Permissions{
		Publish: []string{
			apiStreamInfo + stream,
			apiMessageGet + stream,
			apiConsumerCreate + stream + ".>",
			apiConsumerNext + stream + ".>",
			apiConsumerDelete + stream + ".>",
			StatsSubject,
		},
		Subscribe: []string{inbox + ".>", livePrefix + events.ClusterFilter(cluster)},
	}
	p.Publish = append(p.Publish, readBucket("KV_"+nodesBucket(cluster))...)
	p.Publish = append(p.Publish, serviceSubjects(cluster)...)
	return p
}

// nodesBucket is what package kvmirror writes, snapshotsBucket where projectors keep snapshots for each other.
func nodesBucket(cluster string) string     { return events.StreamName(cluster) + "_nodes" }
func snapshotsBucket(cluster string) string { return events.StreamName(cluster) + "_snapshots" }

// readBucket is what it takes to read, and watch, the bucket in stream.
func readBucket(stream string) []string {
	return []string{
		apiStreamInfo + stream,
		apiMessageGet + stream,
		apiDirectGet + stream,
		apiDirectGet + stream + ".>",
		apiConsumerCreate + stream + ".>",
		apiConsumerDelete + stream + ".>",
		flowControl + stream + ".>",
	}
}

// serviceSubjects is where the NATS service of package natsapi listens.
func serviceSubjects(cluster string) []string {
	const discovery = "$SRV.*"
	name := discovery + ".rollcall-" + cluster
	return []string{"svc.rollcall." + cluster + ".*", discovery, name, name + ".*"}
}

// ProjectorPermissions returns what the user of a projector needs: to read the log, and to show what follows from it in NATS:
// the bucket of nodes, the bucket of snapshots, the service. The buckets are the provisioner's to make: whoever makes a stream
// says what it takes and where it repeats it.
//
// The service answers at inboxes and nowhere else. Answers wherever a request says (allow_responses) would let whoever
// asks have the projector write into the log.
func ProjectorPermissions(cluster, inbox string) Permissions {
	p := ReaderPermissions(cluster, inbox)
	snapshots := "OBJ_" + snapshotsBucket(cluster)
	p.Publish = append(p.Publish, readBucket(snapshots)...)
	p.Publish = append(p.Publish,
		apiStreamPurge+snapshots,
		"$O."+snapshotsBucket(cluster)+".>",
		"$KV."+nodesBucket(cluster)+".>",
		InboxShared+".>",
	)
	p.Subscribe = append(p.Subscribe, serviceSubjects(cluster)...)
	return p
}

// MemberPermissions returns what the user of a member needs: to read the log, and to speak as itself and nobody else, in
// the vocabulary: of itself what only the node itself may say, of others what only others may.
func MemberPermissions(cluster, member, inbox string) Permissions {
	p := ReaderPermissions(cluster, inbox)
	about := func(node string, kind events.Kind) string {
		return events.Subject(events.Event{Cluster: cluster, Node: node, Author: member, Kind: kind})
	}
	for _, kind := range events.Kinds() {
		if kind.ByOwner() {
			p.Publish = append(p.Publish, about(member, kind))
		} else {
			p.Publish = append(p.Publish, about("*", kind))
			p.Deny = append(p.Deny, about(member, kind))
		}
	}
	return p
}

// DirectorPermissions returns what the user of a member needs that may direct assignment groups: what a member needs, and
// to plan, as itself, any group. Who directs a group is for the fold to say: a live member, one at a time.
func DirectorPermissions(cluster, member, inbox string) Permissions {
	p := MemberPermissions(cluster, member, inbox)
	for _, kind := range events.GroupKinds() {
		p.Publish = append(p.Publish, events.Subject(events.Event{Cluster: cluster, Group: "*", Author: member, Kind: kind}))
	}
	return p
}

// ProvisionerPermissions returns what it takes to make the streams of cluster, its log and the projectors' buckets, and to see
// that they are there. Who has them can neither change a stream nor write to it.
func ProvisionerPermissions(cluster, inbox string) Permissions {
	p := Permissions{Publish: []string{apiAccountInfo, StatsSubject}, Subscribe: []string{inbox + ".>"}}
	for _, stream := range []string{
		events.StreamName(cluster), "KV_" + nodesBucket(cluster), "OBJ_" + snapshotsBucket(cluster),
	} {
		p.Publish = append(p.Publish, apiStreamInfo+stream, apiStreamCreate+stream)
	}
	return p
}

// AdministratorPermissions returns what it takes to look after streams and consumers of the account, deleting included. An
// administrator reads everything and says nothing: no event is an administrator's.
func AdministratorPermissions(cluster, inbox string) Permissions {
	return Permissions{
		Publish:   []string{"$JS.API.>"},
		Subscribe: []string{inbox + ".>", "$JS.EVENT.>", livePrefix + events.ClusterFilter(cluster)},
	}
}
