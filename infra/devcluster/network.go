package devcluster

import (
	"context"
	"errors"
	"net/netip"
	"sync"

	"rollcall/swim"
	"rollcall/swim/agent"
	"rollcall/swim/quicnet"
)

// network is what lies between the members: it can be split.
type network struct {
	mu   sync.Mutex
	side map[swim.ID]int // the side of each member, 0 for those not named; nil when whole
}

func newNetwork() *network { return &network{} }

func (n *network) split(side map[swim.ID]int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.side = side
}

func (n *network) cut(a, b swim.ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.side[a] != n.side[b]
}

// link is a member's transport behind the network. What it counts is the transport's.
type link struct {
	*quicnet.Transport
	self    swim.ID
	network *network
}

var errCut = errors.New("devcluster: the network is split")

// Send drops what crosses the cut.
func (l *link) Send(to swim.Peer, datagram []byte) {
	if !l.network.cut(l.self, to.ID) {
		l.Transport.Send(to, datagram)
	}
}

// Exchange fails across the cut.
func (l *link) Exchange(ctx context.Context, to swim.Peer, request []byte) (swim.ID, []byte, error) {
	if to.ID != "" && l.network.cut(l.self, to.ID) {
		return "", nil, errCut
	}
	return l.Transport.Exchange(ctx, to, request)
}

// Serve puts the cut in front of h, too: an answer of the other side is dropped as well.
func (l *link) Serve(h agent.Handler) { l.Transport.Serve(&gate{Handler: h, link: l}) }

type gate struct {
	agent.Handler
	link *link
}

func (g *gate) HandleDatagram(from swim.ID, addr netip.AddrPort, datagram []byte) {
	if !g.link.network.cut(g.link.self, from) {
		g.Handler.HandleDatagram(from, addr, datagram)
	}
}

func (g *gate) HandleExchange(ctx context.Context, from swim.ID, addr netip.AddrPort, request []byte) ([]byte, error) {
	if g.link.network.cut(g.link.self, from) {
		return nil, errCut
	}
	return g.Handler.HandleExchange(ctx, from, addr, request)
}
