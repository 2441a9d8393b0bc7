package swim

import "encoding/binary"

// applyLog merges what the log says of a member, like an update that came by gossip, except that the log passes it on
// itself. What makes no sense as an update, such as a state the log does not know, is passed over.
func (n *Node) applyLog(c *LogClaim) {
	var u update
	r := reader{b: appendClaim(nil, c)}
	if !c.ID.Valid() || !r.update(&u) {
		n.counters.Malformed++
		return
	}
	n.apply(&u, Peer{}, byLog)
}

// appendClaim encodes a claim as an update, so that everything that is learned passes through the same checks.
func appendClaim(b []byte, c *LogClaim) []byte {
	head := byte(c.State)
	if c.Addr.IsValid() {
		head |= updateHasAddr
	}
	if len(c.Tags) > 0 && c.Tags.Validate() == nil {
		head |= updateHasTags
	}
	if len(c.Accusers) > 0 {
		head |= updateHasAccusers
	}
	b = append(b, head)
	b = appendID(b, c.ID)
	b = binary.AppendUvarint(b, c.Incarnation)
	if head&updateHasAddr != 0 {
		b = appendAddr(b, c.Addr)
	}
	if head&updateHasTags != 0 {
		b = appendTags(b, c.Tags)
	}
	if head&updateHasAccusers != 0 {
		list := c.Accusers[:min(len(c.Accusers), accusersWireMax)]
		b = append(b, byte(len(list)))
		for _, id := range list {
			b = appendID(b, id)
		}
	}
	return b
}
