package swim

import (
	"fmt"
	"strings"
	"time"
)

// The words of the scripts: inputs are read, effects are written.

func (s *script) input(words []string) Input {
	head, updates, _ := strings.Cut(strings.Join(words, " "), "|")
	words = strings.Fields(head)
	peer := func() Peer { return s.peer(words[1]) }
	switch words[0] {
	case "tick":
		return Tick()
	case "leave":
		return Leave()
	case "tags":
		m := make(map[string]string)
		for _, w := range words[1:] {
			k, v, _ := strings.Cut(w, "=")
			m[k] = v
		}
		return SetTags(NewTags(m))
	case "rise":
		return Rise(s.number(words[1]))
	case "down":
		how := map[string]Down{"closed": DownClosed, "reset": DownReset, "unreachable": DownUnreachable, "cut": DownCut}[words[2]]
		return PeerDown(peer().ID, peer().Addr, how)
	case "accuse":
		by := words[len(words)-1]
		first, _, _ := strings.Cut(by, ",")
		from := s.peer(first)
		claim := fmt.Sprintf("%s suspect %s by %s", words[1], strings.TrimPrefix(words[2], "inc="), by)
		return Datagram(from.ID, from.Addr, gossipOf(s.rows(claim)...))
	case "log":
		m := s.rows(updates)[0]
		c := &LogClaim{ID: m.id, Addr: m.addr(), Incarnation: m.incarnation, State: m.state}
		if m.suspicion != nil {
			for _, a := range m.suspicion.accusers {
				c.Accusers = append(c.Accusers, a.id)
			}
		}
		return FromLog(c)
	case "sync":
		return ExchangeReply(peer().ID, peer().Addr, seedState(s.rows(updates)...))
	case "from":
		return s.datagram(peer(), words[2:], updates)
	}
	s.fail("unknown input %q", words[0])
	return Input{}
}

// peer is a member, or a stranger at an address of its own.
func (s *script) peer(id string) Peer {
	if m := s.n.find(ID(id)); m != nil {
		return m.peer()
	}
	return Peer{ID(id), testAddr(200)}
}

func (s *script) datagram(from Peer, words []string, updates string) Input {
	types := map[string]messageType{
		"ping": messagePing, "ack": messageAck, "ping-req": messagePingReq, "nack": messageNack, "gossip": messageGossip,
	}
	msg := message{typ: types[words[0]]}
	if msg.typ == messagePing || msg.typ == messageAck {
		msg.incarnation, msg.digest = 1, s.n.Digest()
	}
	for _, w := range words[1:] {
		switch key, value, _ := strings.Cut(w, "="); {
		case w == "regular":
			msg.flags |= flagRegular
		case w == "seq=last":
			msg.seq = s.last[from.ID]
		case strings.HasPrefix(w, "seq=last:"):
			msg.seq = s.last[ID(w[len("seq=last:"):])]
		case key == "seq":
			msg.seq = uint32(s.number(value))
		case key == "due":
			msg.dueMS = s.number(value)
		case key == "target":
			msg.target = s.peer(value)
		case key == "digest":
			msg.digest = s.number(value)
		default:
			s.fail("unknown field %q", w)
		}
	}
	b := appendMessage(nil, &msg)
	for _, m := range s.rows(updates) {
		b = s.n.appendUpdate(b, m)
	}
	return Datagram(from.ID, from.Addr, b)
}

// rows reads "<id> <state> <incarnation> [by <id>,…|at <id>]; …".
func (s *script) rows(text string) (rows []*member) {
	states := map[string]State{"alive": Alive, "suspect": Suspect, "failed": Failed, "left": Left}
	for _, one := range strings.Split(text, ";") {
		words := strings.Fields(one)
		if len(words) == 0 {
			continue
		}
		m := row(words[0], states[words[1]], s.number(words[2]))
		m.place = placeOf(s.peer(words[0]).Addr)
		switch {
		case len(words) < 5:
		case words[3] == "at":
			m.place = placeOf(s.peer(words[4]).Addr)
		default:
			for _, id := range strings.Split(words[4], ",") {
				id, silent := strings.CutSuffix(id, "(implicit)")
				m.suspicion.accusers = append(m.suspicion.accusers, accuser{id: ID(id), silent: silent})
			}
		}
		rows = append(rows, m)
	}
	return rows
}

// describe writes an effect, plays the peer it is for, and names its kind for show.
func (s *script) describe(e Effect) (kind, text string) {
	switch e.Kind {
	case EffectSend:
		return s.describeSend(e)
	case EffectExchange:
		return "exchange", fmt.Sprintf("exchange with %s", e.To.ID)
	case EffectReply:
		return "exchange", fmt.Sprintf("reply of %d bytes", len(e.Data))
	case EffectMember:
		text := fmt.Sprintf("member %s %v %d", e.Member.ID, e.Member.State, e.Member.Incarnation)
		if from := e.Member.UnreachableFrom; len(from) > 0 {
			text += " unreachable_from=" + joined(from)
		}
		return "member", text
	case EffectForget:
		return "member", fmt.Sprintf("forget %s", e.Member.ID)
	case EffectGone:
		return "gone", "gone"
	case EffectWarm:
		return "warm", fmt.Sprintf("warm %s", e.To.ID)
	case EffectRefused:
		return "transition", "refused"
	case EffectDouble:
		return "transition", fmt.Sprintf("double of %s at %v", e.To.ID, e.To.Addr)
	}
	return "transition", describeTransition(e.Transition)
}

func (s *script) describeSend(e Effect) (kind, text string) {
	var msg message
	if err := decodeMessage(e.Data, &msg); err != nil {
		s.fail("sent %x: %v", e.Data, err)
	}
	if msg.typ == messagePing || msg.typ == messagePingReq {
		s.last[e.To.ID] = msg.seq
	}
	s.answer(e.To, &msg)
	switch msg.typ {
	case messagePing:
		kind = "ping"
	case messageAck:
		kind = "ack"
	case messagePingReq:
		kind = "ping-req"
	case messageNack:
		kind = "nack"
	case messageGossip:
		kind = "gossip"
	}
	b := new(strings.Builder)
	fmt.Fprintf(b, "%s %s", kind, e.To.ID)
	switch {
	case msg.typ == messageAck || msg.typ == messageNack:
		fmt.Fprintf(b, " seq=%d", msg.seq) // the peer's number
	case msg.typ == messagePingReq:
		fmt.Fprintf(b, " target=%s", msg.target.ID)
	}
	if msg.flags&flagRegular != 0 {
		b.WriteString(" regular")
	}
	if msg.dueMS != 0 {
		fmt.Fprintf(b, " due=%d", msg.dueMS)
	}
	separator := " | "
	for r := (reader{b: msg.updates}); len(r.b) > 0; separator = "; " {
		var u update
		r.update(&u)
		fmt.Fprintf(b, "%s%s %v %d", separator, u.id, u.claim.state, u.claim.incarnation)
		if len(u.accusers) > 0 {
			fmt.Fprintf(b, " by %s", joined(accuserIDs(u.accusers)))
		}
	}
	return kind, b.String()
}

func joined(ids []ID) string {
	var words []string
	for _, id := range ids {
		words = append(words, string(id))
	}
	return strings.Join(words, ",")
}

func describeTransition(t *Transition) string {
	b := new(strings.Builder)
	if t.Own {
		b.WriteString("own ")
	}
	fmt.Fprintf(b, "%v %s %d", t.Kind, t.Subject, t.Incarnation)
	if t.Before != 0 {
		fmt.Fprintf(b, " before=%v", t.Before)
	}
	if !t.Own {
		fmt.Fprintf(b, " author=%s", t.Author)
	}
	e := &t.Evidence
	if e.Reason != "" {
		fmt.Fprintf(b, " (%s)", e.Reason)
	}
	if e.Probes != 0 {
		fmt.Fprintf(b, " probes=%d timeout=%v health=%d", e.Probes, e.Timeout.Round(time.Millisecond), e.LocalHealth)
	}
	for i, r := range e.Relays {
		b.WriteString([]string{" relays=", ","}[min(i, 1)] + string(r.ID) + ":" + r.Answer.String())
	}
	for i, a := range e.Accusers {
		b.WriteString([]string{" accusers=", ","}[min(i, 1)] + string(a.ID))
		if a.Implicit {
			b.WriteString("(implicit)")
		}
	}
	if !e.Since.IsZero() {
		fmt.Fprintf(b, " since=%v", e.Since.Sub(testEpoch))
	}
	if e.Phi != 0 {
		fmt.Fprintf(b, " phi=%.1f", e.Phi)
	}
	if e.Total != 0 {
		fmt.Fprintf(b, " %d of %d reachable", e.Reachable, e.Total)
		if e.Side != NoSide {
			fmt.Fprintf(b, " side=%v", e.Side)
		}
		if len(e.Unreachable) > 0 {
			fmt.Fprintf(b, " unreachable=%s", joined(e.Unreachable))
		}
	}
	if e.Previous != 0 {
		fmt.Fprintf(b, " previous=%d", e.Previous)
	}
	return b.String()
}

func describePartition(p Partition) string {
	text := p.String()
	if p.State == PartitionSuspect {
		text += fmt.Sprintf(" grace=%v", p.Grace.Round(time.Millisecond))
	}
	return text
}
