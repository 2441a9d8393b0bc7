package dnsapi

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"rollcall/projections"
	"rollcall/projections/projector"
)

const (
	root      = "rollcall."
	nodeLabel = "node"
	ttl       = uint32(TTL / 1e9) // seconds
)

// zone answers queries for the names of one cluster.
type zone struct {
	p      *projector.Projector
	origin string // <cluster>.rollcall.
}

func newZone(p *projector.Projector) *zone {
	return &zone{p: p, origin: dns.CanonicalName(p.Cluster() + "." + root)}
}

// ServeDNS implements dns.Handler.
func (z *zone) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	reply := z.answer(query)
	size := dns.MaxMsgSize
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		size = dns.MinMsgSize
		if opt := query.IsEdns0(); opt != nil {
			size = min(max(size, int(opt.UDPSize())), UDPMax)
		}
	}
	if query.IsEdns0() != nil {
		reply.SetEdns0(UDPMax, false)
	}
	reply.Truncate(size)
	wire, err := reply.Pack()
	if err != nil { // rather than silence, for which the client would wait
		wire, err = new(dns.Msg).SetRcode(query, dns.RcodeServerFailure).Pack()
	}
	if err == nil {
		_, _ = w.Write(wire) // a client that is gone needs no answer
	}
}

// answer says what is known about the name of a query.
func (z *zone) answer(query *dns.Msg) *dns.Msg {
	reply := new(dns.Msg)
	if query.Opcode != dns.OpcodeQuery {
		return reply.SetRcode(query, dns.RcodeNotImplemented)
	}
	if len(query.Question) != 1 || query.Question[0].Qclass != dns.ClassINET {
		return reply.SetRcode(query, dns.RcodeRefused)
	}
	question := query.Question[0]
	name := dns.CanonicalName(question.Name)
	if !dns.IsSubDomain(z.origin, name) {
		return reply.SetRcode(query, dns.RcodeRefused)
	}
	if !z.p.Status().Ready {
		return reply.SetRcode(query, dns.RcodeServerFailure)
	}
	reply.SetReply(query)
	reply.Authoritative = true
	found, exists := z.find(name)
	rand.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	for _, n := range found {
		z.add(reply, question, n)
	}
	if name == z.origin && question.Qtype == dns.TypeSOA {
		reply.Answer = append(reply.Answer, z.soa())
	}
	if !exists {
		reply.Rcode = dns.RcodeNameError
	}
	if len(reply.Answer) == 0 {
		reply.Ns = append(reply.Ns, z.soa()) // says for how long there is nothing
	}
	return reply
}

// find returns the nodes that a name in the zone stands for, and whether there is such a name at all. One that others lie below
// is there and stands for none: that it were not would say the same of them (RFC 8020).
func (z *zone) find(name string) (found []*projections.Node, exists bool) {
	labels := dns.SplitDomainName(strings.TrimSuffix(name, z.origin))
	if len(labels) == 0 || len(labels) == 1 && labels[0] == nodeLabel {
		return nil, true
	}
	if len(labels) > 2 {
		return nil, false
	}
	key, isKey := strings.CutPrefix(text(labels[len(labels)-1]), "_")
	switch value, isValue := strings.CutPrefix(text(labels[0]), "_"); {
	case len(labels) == 1 && isKey:
		return nil, len(z.nodes(func(n *projections.Node) bool { return hasKey(n, key) })) > 0
	case len(labels) == 2 && isKey && isValue:
		found = z.nodes(func(n *projections.Node) bool { return tagged(n, key, value) })
	case len(labels) == 2 && labels[1] == nodeLabel:
		id := text(labels[0])
		found = z.nodes(func(n *projections.Node) bool { return strings.EqualFold(n.ID, id) })
	}
	return found, len(found) > 0
}

// nodes are those wanted, of the nodes that can be called.
func (z *zone) nodes(wanted func(n *projections.Node) bool) (found []*projections.Node) {
	z.p.View(func(v *projections.Views) { found = v.Registry.Select(projections.Selector{}) })
	kept := found[:0]
	for _, n := range found {
		if wanted(n) {
			kept = append(kept, n)
		}
	}
	return kept
}

// hasKey reports whether n has a tag whose key reads like this.
func hasKey(n *projections.Node, key string) bool {
	for k := range n.Tags {
		if strings.EqualFold(k, key) {
			return true
		}
	}
	return false
}

// tagged reports whether n has a tag that reads like this in a name, where upper and lower case are the same.
func tagged(n *projections.Node, key, value string) bool {
	if v, ok := n.Tags[key]; ok && strings.EqualFold(v, value) {
		return true
	}
	for k, v := range n.Tags {
		if strings.EqualFold(k, key) && strings.EqualFold(v, value) {
			return true
		}
	}
	return false
}

// text undoes the escapes of a label: \. and the like stand for the character, \065 for a byte.
func text(label string) string {
	if !strings.Contains(label, `\`) {
		return label
	}
	var out strings.Builder
	for i := 0; i < len(label); i++ {
		if label[i] != '\\' {
			out.WriteByte(label[i])
			continue
		}
		if i+3 < len(label) {
			if b, err := strconv.ParseUint(label[i+1:i+4], 10, 8); err == nil {
				out.WriteByte(byte(b))
				i += 3
				continue
			}
		}
		if i++; i < len(label) {
			out.WriteByte(label[i])
		}
	}
	return out.String()
}

// add puts the records of n that answer the question into reply.
func (z *zone) add(reply *dns.Msg, question dns.Question, n *projections.Node) {
	host, portText, err := net.SplitHostPort(n.Address)
	port, perr := strconv.ParseUint(portText, 10, 16)
	if err != nil || perr != nil {
		return // never so of what joined
	}
	byNode := strings.HasSuffix(dns.CanonicalName(question.Name), "."+nodeLabel+"."+z.origin)
	ip, err := netip.ParseAddr(host)
	if err != nil { // a host name, which is somebody else's to resolve
		switch {
		case !isName(host):
		case question.Qtype == dns.TypeSRV && !byNode:
			reply.Answer = append(reply.Answer, srv(question.Name, uint16(port), dns.Fqdn(host)))
		case byNode:
			reply.Answer = append(reply.Answer, &dns.CNAME{Hdr: header(question.Name, dns.TypeCNAME), Target: dns.Fqdn(host)})
		}
		return
	}
	target := n.ID + "." + nodeLabel + "." + z.origin
	switch {
	case question.Qtype == dns.TypeSRV && !byNode:
		if !isName(target) {
			return
		}
		reply.Answer = append(reply.Answer, srv(question.Name, uint16(port), target))
		reply.Extra = append(reply.Extra, address(target, ip))
	case question.Qtype == dns.TypeA && ip.Is4(), question.Qtype == dns.TypeAAAA && ip.Is6():
		reply.Answer = append(reply.Answer, address(question.Name, ip))
	}
}

// isName reports whether DNS can carry a name: one that it cannot, an id of 64 bytes among its labels, would take the whole
// answer with it.
func isName(name string) bool {
	_, ok := dns.IsDomainName(name)
	return ok
}

func header(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
}

func srv(name string, port uint16, target string) dns.RR {
	return &dns.SRV{Hdr: header(name, dns.TypeSRV), Priority: 1, Weight: 1, Port: port, Target: target}
}

func address(name string, ip netip.Addr) dns.RR {
	if ip.Is4() {
		return &dns.A{Hdr: header(name, dns.TypeA), A: ip.AsSlice()}
	}
	return &dns.AAAA{Hdr: header(name, dns.TypeAAAA), AAAA: ip.AsSlice()}
}

// soa is the head of the zone. Its serial is the position of the views, as far as 32 bits hold it.
func (z *zone) soa() dns.RR {
	return &dns.SOA{
		Hdr: header(z.origin, dns.TypeSOA), Ns: z.origin, Mbox: "hostmaster." + z.origin,
		Serial: uint32(z.p.Position()), Refresh: ttl, Retry: ttl, Expire: ttl, Minttl: ttl,
	}
}
