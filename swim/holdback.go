package swim

import "time"

const (
	// refutedMax bounds the doubling: an accuser holds back for 1<<refutedMax periods at most.
	refutedMax = 5
	// refutedMemory is how many periods it takes to forget a refutation, if no other comes. It is no shorter than the longest
	// wait, so that an accuser who is refuted each time it speaks goes on holding back so long.
	refutedMemory = 1 << refutedMax
)

// holdBack keeps this member, whose accusation m has just answered, from accusing it again for a few periods, doubling each
// time (detection rule 7): a link that is bad for this member alone must not keep the cluster busy. What is long past counts no
// more, or the next crash would be seen late for it (I12); and who was failed, or came back elsewhere, was rightly accused.
func (n *Node) holdBack(m *member) {
	e := n.edgeOf(m)
	if e.refuted > 0 {
		forgotten := (n.now - e.refutedAt) / (refutedMemory * n.cfg.ProtocolPeriod)
		e.refuted -= uint8(min(forgotten, time.Duration(e.refuted)))
	}
	e.refuted = min(e.refuted+1, refutedMax)
	e.refutedAt = n.now
	e.backoff = n.now + n.cfg.ProtocolPeriod<<e.refuted
}
