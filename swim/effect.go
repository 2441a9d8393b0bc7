package swim

import "net/netip"

// InputKind says what an Input tells the Node.
type InputKind uint8

// The inputs.
const (
	InputTick            InputKind = iota // time went on
	InputDatagram                         // From, Data: a datagram arrived
	InputExchangeRequest                  // From, Data, Token: a peer sent its state and waits for ours
	InputExchangeReply                    // From, Data: the answer to an EffectExchange
	InputDown                             // From, Down: the transport says that a peer is gone
	InputJoin                             // From (the ID may be empty): exchange state with whoever answers there; Token
	InputTags                             // Tags: replace this member's own tags
	InputRise                             // Incarnation: go above it; the log or a peer knows an earlier life
	InputLeave                            // leave gracefully
	InputLog                              // Claim: what the log says of one member
)

// Input is one thing that happened. Build it with the functions below.
type Input struct {
	Kind        InputKind
	From        Peer
	Data        []byte // only read, and not kept after Step returns
	Token       uint64
	Down        Down
	Tags        Tags
	Incarnation uint64
	Claim       *LogClaim
}

// Tick says that time went on.
func Tick() Input { return Input{} }

// Datagram says that data arrived from a peer.
func Datagram(from ID, addr netip.AddrPort, data []byte) Input {
	return Input{Kind: InputDatagram, From: Peer{from, addr}, Data: data}
}

// ExchangeRequest says that a peer sent its state and waits for ours; the answer is an EffectReply with the same token.
func ExchangeRequest(from ID, addr netip.AddrPort, data []byte, token uint64) Input {
	return Input{Kind: InputExchangeRequest, From: Peer{from, addr}, Data: data, Token: token}
}

// ExchangeReply says what a peer answered to our state.
func ExchangeReply(from ID, addr netip.AddrPort, data []byte) Input {
	return Input{Kind: InputExchangeReply, From: Peer{from, addr}, Data: data}
}

// PeerDown passes on the transport's hint that a peer is gone.
func PeerDown(from ID, addr netip.AddrPort, how Down) Input {
	return Input{Kind: InputDown, From: Peer{from, addr}, Down: how}
}

// Join asks for a state exchange with whoever answers at addr; its EffectExchange carries token.
func Join(addr netip.AddrPort, token uint64) Input {
	return Input{Kind: InputJoin, From: Peer{Addr: addr}, Token: token}
}

// SetTags replaces this member's own tags, which must be valid.
func SetTags(tags Tags) Input { return Input{Kind: InputTags, Tags: tags} }

// Rise puts this member's incarnation above incarnation, if it is not already: somebody remembers an earlier life.
func Rise(incarnation uint64) Input { return Input{Kind: InputRise, Incarnation: incarnation} }

// LogClaim is what the log says of one member at the position up to which the host has read it.
type LogClaim struct {
	ID          ID
	Addr        netip.AddrPort // may be invalid where the log has none
	Tags        Tags
	Incarnation uint64
	State       State
	Accusers    []ID // of the present incarnation
}

// FromLog passes on what the log says of one member. A host that was cut off from the log reads it to its end first, and
// then passes on this member's own claim before the others', so that a refutation goes out before anything is believed
// (detection rule 8).
func FromLog(c *LogClaim) Input { return Input{Kind: InputLog, Claim: c} }

// Leave starts a graceful departure; EffectGone says when the others know.
func Leave() Input { return Input{Kind: InputLeave} }

// EffectKind says what the host is to do.
type EffectKind uint8

// The effects.
const (
	EffectSend       EffectKind = iota + 1 // To, Data: send a datagram
	EffectExchange                         // To, Data, Token: send our state, feed the answer back as ExchangeReply
	EffectReply                            // Data, Token: our state, in answer to an ExchangeRequest; nil Data refuses it
	EffectMember                           // Member: the view of this member changed
	EffectForget                           // Member: this member was dropped from the view
	EffectTransition                       // Transition: something to report, after the EffectMember it goes with
	EffectGone                             // the departure is known to others
	EffectDouble                           // To: another process may run there under this member's id; look
	EffectWarm                             // To: a datagram to this peer may follow soon; connect to it, if you like
	EffectRefused                          // the tags or the rise that this step asked for: the member is leaving, or they are invalid
)

// Effect is one thing for the host to do, in order. Data is valid until the next Step.
type Effect struct {
	Kind       EffectKind
	To         Peer
	Data       []byte
	Token      uint64
	Member     Member
	Transition *Transition
}
