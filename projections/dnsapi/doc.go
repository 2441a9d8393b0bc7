// Package dnsapi answers DNS queries about the nodes of a cluster that can be called: Alive, and not parked.
//
//	s, err := dnsapi.Listen("127.0.0.1:5353", dnsapi.Config{Projector: p})
//	s.Start()
//	defer s.Close()
//
// The names, all in the zone <cluster>.rollcall. and in any case:
//
//	n3.node.default.rollcall.            A, AAAA      the address of node n3
//	_worker._role.default.rollcall.      SRV          every node whose tag role is worker: its port, its node name as target,
//	                                                  and the targets' addresses beside them
//	_worker._role.default.rollcall.      A, AAAA      their addresses alone
//
// A node whose address is a host name and not an IP is a CNAME to it, and its host name is the target of its SRV. An SRV has
// priority and weight of 1; the order of an answer is random. TTL is [TTL], for what is not there too.
//
// Promise: while the views do not hold the whole log the answer is SERVFAIL, never that somebody is not there. A name of the
// scheme without a node is NXDOMAIN, a name outside the zone REFUSED. What others lie below, such as _role.default.rollcall., is there
// and has no records: a resolver that asks label by label (RFC 9156) finds its way. What is no query is NOTIMP.
//
// Limits: a label has 63 bytes, so an id of 64, or a tag whose key or value is longer than 62, has no name here: a node with such an id,
// or at a host with such a label, is left out of SRV, which names its targets. An answer that does
// not fit UDP (512 bytes, or what EDNS says, at most [UDPMax]) is cut and marked so; the client then asks over TCP, where 64 KiB
// fit. At most [ConnectionsMax] TCP connections are open at once. There is no DNSSEC and no transfer of the zone.
package dnsapi
