package jslog

import "rollcall/events"

// Permissions are subjects that a NATS user may publish to and subscribe to.
type Permissions struct {
	Publish   []string
	Subscribe []string
}

// ReaderPermissions returns what a user needs to read the log of cluster, and nothing to write it with.
func ReaderPermissions(cluster string) Permissions {
	stream := events.StreamName(cluster)
	return Permissions{
		Publish: []string{
			apiStreamInfo + stream,
			apiMessageGet + stream,
			apiConsumerCreate + stream + ".>",
			apiConsumerNext + stream + ".>",
			apiConsumerDelete + stream + ".>",
		},
		Subscribe: []string{"_INBOX.>", livePrefix + events.ClusterFilter(cluster)},
	}
}

// MemberPermissions returns what the user of a member needs: to read the log, and to speak as itself and nobody else.
func MemberPermissions(cluster, member string) Permissions {
	p := ReaderPermissions(cluster)
	about := func(node, kind string) string {
		return "rollcall." + cluster + ".node." + node + "." + member + "." + kind
	}
	p.Publish = append(p.Publish, about(member, "*"))
	for _, kind := range events.Kinds() {
		if !kind.ByOwner() {
			p.Publish = append(p.Publish, about("*", string(kind)))
		}
	}
	return p
}
