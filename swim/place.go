package swim

import "net/netip"

// place is an address in 20 bytes without a pointer, where a netip.AddrPort takes 32 with one: a view holds one for each
// member, and a simulation of ten thousand members a hundred million.
type place struct {
	ip   [16]byte
	port uint16
	v4   bool
}

func placeOf(a netip.AddrPort) place { return place{a.Addr().As16(), a.Port(), a.Addr().Is4()} }

func (p place) addr() netip.AddrPort {
	ip := netip.AddrFrom16(p.ip)
	if p.v4 {
		ip = ip.Unmap()
	}
	return netip.AddrPortFrom(ip, p.port)
}
