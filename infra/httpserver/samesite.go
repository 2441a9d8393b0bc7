package httpserver

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
)

// ErrCrossSite says that a page of another site may have sent a request.
var ErrCrossSite = errors.New("another site may have sent this")

// CheckSameSite refuses, with ErrCrossSite, a request that a page of another site may have sent: a server on loopback is
// reached by every browser tab of the machine. A name that is not localhost may be another site's name made to point here; but
// no browser shows such a site a token of ours, so with a token any name will do. What changes something checks this first.
func CheckSameSite(r *http.Request) error {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return fmt.Errorf("%w: the browser says that it comes from another origin", ErrCrossSite)
	}
	if showedToken(r) {
		return nil
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "localhost" && host != "[::1]" {
		return fmt.Errorf("%w: the Host header is neither an address nor localhost", ErrCrossSite)
	}
	return nil
}
