package quicnet

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"rollcall/swim"
)

const sanPrefix = "spiffe://rollcall/"

// x25519 first: the hybrid exchange that is the default costs half as much again for a secret that lives 30 seconds.
var curves = []tls.CurveID{tls.X25519, tls.CurveP256}

// judgement of a peer's certificate: the id in it, or what is wrong.
type judgement func(state tls.ConnectionState, usage x509.ExtKeyUsage, addr netip.AddrPort) (swim.ID, error)

// serverTLS asks for a certificate and judges it as dialTLS does. Each handshake gets its own copy, because only so can
// the judge know the address it is about.
func (t *Transport) serverTLS(protocol string, judge judgement) *tls.Config {
	base := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{protocol},
		CurvePreferences:       curves,
		SessionTicketsDisabled: true, // a resumed session would show the certificate of before a rotation
		ClientAuth:             tls.RequireAnyClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return t.config.Credentials.Certificate(), nil
		},
	}
	outer := base.Clone()
	outer.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		addr := addrPort(hello.Conn.RemoteAddr())
		t.names.hear(hello.ServerName)
		inner := base.Clone()
		inner.VerifyConnection = func(state tls.ConnectionState) error {
			_, err := judge(state, x509.ExtKeyUsageClientAuth, addr)
			if err != nil {
				t.logger.Debug("peer refused", "addr", addr, "error", err)
			}
			return err
		}
		return inner, nil
	}
	return outer
}

// dialTLS is good for one dial to a peer, under a name of dialNames; an empty id in it accepts every member but ourselves. What
// it thinks of the peer's certificate is left in verdict, because TLS passes on no more than an alert.
func (t *Transport) dialTLS(protocol, name string, to swim.Peer, verdict *atomic.Pointer[error]) *tls.Config {
	return &tls.Config{
		ServerName:             name,
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{protocol},
		CurvePreferences:       curves,
		SessionTicketsDisabled: true,
		// Members have ids, not host names: VerifyConnection below does the whole verification instead.
		InsecureSkipVerify: true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return t.config.Credentials.Certificate(), nil
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			id, err := t.judge(state, x509.ExtKeyUsageServerAuth, to.Addr)
			if err == nil && to.ID != "" && id != to.ID {
				err = fmt.Errorf("%w: %s answers at %v where %s was dialled", ErrIdentity, id, to.Addr, to.ID)
			}
			if err != nil {
				verdict.Store(&err)
			}
			return err
		},
	}
}

// judge verifies the peer's certificate and returns the id in it; another process under our own id is reported, with the
// address it was seen at. usage is what the peer uses the certificate for.
func (t *Transport) judge(state tls.ConnectionState, usage x509.ExtKeyUsage, addr netip.AddrPort) (swim.ID, error) {
	id, err := t.recognize(state, usage, addr)
	if errors.Is(err, ErrIDConflict) {
		t.conflict(addr)
	}
	return id, err
}

// recognize is judge without a report.
func (t *Transport) recognize(state tls.ConnectionState, usage x509.ExtKeyUsage, addr netip.AddrPort) (swim.ID, error) {
	if len(state.PeerCertificates) == 0 {
		return "", fmt.Errorf("%w: none presented at %v", ErrIdentity, addr)
	}
	leaf := state.PeerCertificates[0]
	// No intermediates: a cluster's CA signs its members itself.
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:       t.config.Credentials.Roots(),
		CurrentTime: time.Now(),
		KeyUsages:   []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	id, err := identityIn(leaf, t.config.Cluster)
	switch {
	case err != nil:
		return "", err
	case id != t.config.ID:
		return id, nil
	case t.isOwn(addr), t.names.cameBack(state.ServerName):
		return "", ErrSelf
	default:
		return "", fmt.Errorf("%w: %s at %v", ErrIDConflict, id, addr)
	}
}

// identityIn reads the one SAN that a member's certificate must have.
func identityIn(leaf *x509.Certificate, cluster string) (swim.ID, error) {
	if len(leaf.URIs) != 1 {
		return "", fmt.Errorf("%w: %d URI SANs instead of one", ErrIdentity, len(leaf.URIs))
	}
	san := leaf.URIs[0].String()
	path, ours := strings.CutPrefix(san, sanPrefix)
	theirs, id, found := strings.Cut(path, "/")
	switch {
	case !ours || !found || !swim.ID(id).Valid():
		return "", fmt.Errorf("%w: URI SAN %q instead of %s<cluster>/<id>", ErrIdentity, san, sanPrefix)
	case theirs != cluster:
		return "", fmt.Errorf("%w: %s is of cluster %q, not of %q", ErrIdentity, id, theirs, cluster)
	}
	return swim.ID(id), nil
}

// conflict counts another process under our id and passes it on.
func (t *Transport) conflict(addr netip.AddrPort) {
	t.stats.conflicts.Add(1)
	t.logger.Warn("another process has this member's id", "id", t.config.ID, "addr", addr)
	if t.config.OnConflict != nil && !t.closing.Load() {
		t.config.OnConflict(addr)
	}
}

// isRejection reports whether a dial failed because of who answered: more such dials are pointless for a while.
func isRejection(err error) bool {
	return errors.Is(err, ErrIdentity) || errors.Is(err, ErrRejected) || errors.Is(err, ErrIDConflict) || errors.Is(err, ErrSelf)
}
