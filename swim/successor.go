package swim

// Successor returns the member that follows this one on the first ring, the zero Peer when there is none or the strategy
// knows no rings. Each member is the successor of about one other: a host that can watch one peer by means of its own,
// such as a connection whose end shows that a process is gone, watches this one.
func (n *Node) Successor() Peer {
	if ref := n.rings[0].next.ref; ref != noRef {
		return n.members[ref].peer()
	}
	return Peer{}
}
