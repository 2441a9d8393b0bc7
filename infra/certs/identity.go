package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Identity is what a member shows to others and what it trusts. It can change while it is in use; readers see a
// consistent state each time they ask. Safe for concurrent use.
type Identity struct {
	cluster, id string
	from        source
	now         func() time.Time

	current atomic.Pointer[state]
	reload  sync.Mutex // one reader of the files at a time
}

// state is one generation: what was read together is used together.
type state struct {
	cert  tls.Certificate
	roots *x509.CertPool
}

// source is where the PEM texts come from.
type source interface {
	read() (certPEM, keyPEM, caPEM []byte, err error)
	// names say in errors what was read.
	names() (cert, key, ca string)
	// version changes whenever read would answer something else.
	version() string
}

// Load reads a member's certificate, its key and the CA that it trusts (one or more certificates, PEM). It checks now
// what a handshake would only find out later: that key and certificate belong together, that the CA signed it, that it is
// valid today, and that it carries exactly one identity. Errors name the file and what to do: [ErrFormat],
// [ErrMismatch], [ErrExpired], [ErrIdentity], or the file system's.
func Load(certFile, keyFile, caFile string) (*Identity, error) {
	return newIdentity(files{cert: certFile, key: keyFile, ca: caFile}, time.Now)
}

func newIdentity(from source, now func() time.Time) (*Identity, error) {
	i := &Identity{from: from, now: now}
	if err := i.Reload(); err != nil {
		return nil, err
	}
	return i, nil
}

// Cluster is the cluster that the certificate names.
func (i *Identity) Cluster() string { return i.cluster }

// ID is the member that the certificate names.
func (i *Identity) ID() string { return i.id }

// Certificate is the one to show in a handshake that begins now. It must not be written to.
func (i *Identity) Certificate() *tls.Certificate { return &i.current.Load().cert }

// Roots are the authorities to trust in a handshake that begins now. They must not be written to.
func (i *Identity) Roots() *x509.CertPool { return i.current.Load().roots }

// NotAfter is when the certificate in use ends.
func (i *Identity) NotAfter() time.Time { return i.current.Load().cert.Leaf.NotAfter }

// Reload reads the files again and takes over what they hold. On error the old certificate stays in use. A
// certificate of another cluster or member is refused with [ErrIdentity]: a running member keeps its name.
func (i *Identity) Reload() error {
	i.reload.Lock()
	defer i.reload.Unlock()
	certPEM, keyPEM, caPEM, err := i.from.read()
	if err != nil {
		return err
	}
	certName, keyName, caName := i.from.names()
	roots, err := parseRoots(caName, caPEM)
	if err != nil {
		return err
	}
	cert, err := parsePair(certName, certPEM, keyName, keyPEM)
	if err != nil {
		return err
	}
	cluster, id, err := identityOf(certName, cert.Leaf)
	if err != nil {
		return err
	}
	if i.id != "" && (cluster != i.cluster || id != i.id) {
		return fmt.Errorf("%s: %w here: it names %s/%s and this member is %s/%s: put the right file back, or restart under the new name",
			certName, ErrIdentity, cluster, id, i.cluster, i.id)
	}
	if err := verify(certName, caName, cert.Leaf, roots, i.now()); err != nil {
		return err
	}
	i.cluster, i.id = cluster, id // they change in the first call only, before anybody else has i
	i.current.Store(&state{cert: cert, roots: roots})
	return nil
}

// Watch follows the files until ctx ends: it looks every interval (at least a second) and reloads when one has changed.
// A broken file is logged once a change and the old certificate stays. It warns once when the certificate in use has
// less than a tenth of its validity left. A nil logger says nothing.
func (i *Identity) Watch(ctx context.Context, interval time.Duration, logger *slog.Logger) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	ticker := time.NewTicker(max(interval, time.Second))
	defer ticker.Stop()
	// What was loaded may be older than what the files are now, so the first look always reloads.
	seen, warned := "", time.Time{}
	for {
		if version := i.from.version(); version != seen {
			seen = version
			if err := i.Reload(); err != nil {
				logger.Error("certificate not reloaded, the old one stays in use", "id", i.id, "error", err)
			} else {
				logger.Debug("certificate loaded", "id", i.id, "not_after", i.NotAfter())
			}
		}
		leaf := i.current.Load().cert.Leaf
		left, whole := leaf.NotAfter.Sub(i.now()), leaf.NotAfter.Sub(leaf.NotBefore)
		if left < whole/10 && !warned.Equal(leaf.NotAfter) {
			warned = leaf.NotAfter
			logger.Warn("certificate ends soon: issue a new one, it is taken over without a restart", "id", i.id,
				"not_after", leaf.NotAfter)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// files is the source on disk.
type files struct{ cert, key, ca string }

func (f files) names() (cert, key, ca string) { return f.cert, f.key, f.ca }

func (f files) read() (certPEM, keyPEM, caPEM []byte, err error) {
	if certPEM, err = os.ReadFile(f.cert); err != nil {
		return nil, nil, nil, fmt.Errorf("member certificate: %w: issue one with `member ca issue`", err)
	}
	if keyPEM, err = os.ReadFile(f.key); err != nil {
		return nil, nil, nil, fmt.Errorf("member key: %w: it belongs beside the certificate, readable by this user", err)
	}
	if caPEM, err = os.ReadFile(f.ca); err != nil {
		return nil, nil, nil, fmt.Errorf("CA certificate: %w: copy ca.pem from where `member ca init` was run", err)
	}
	return certPEM, keyPEM, caPEM, nil
}

// version is made of times and sizes: a rotation renames new files into place, so both differ.
func (f files) version() string {
	var b strings.Builder
	for _, name := range []string{f.cert, f.key, f.ca} {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintf(&b, "%d %d;", info.ModTime().UnixNano(), info.Size())
		} else {
			b.WriteString("none;")
		}
	}
	return b.String()
}

// memory is the source of an identity that has no files.
type memory struct{ cert, key, ca []byte }

func (m memory) names() (cert, key, ca string)                    { return "certificate", "key", "CA certificate" }
func (m memory) read() (certPEM, keyPEM, caPEM []byte, err error) { return m.cert, m.key, m.ca, nil }
func (m memory) version() string                                  { return "memory" }

func parsePair(certName string, certPEM []byte, keyName string, keyPEM []byte) (tls.Certificate, error) {
	if _, err := parseCertificate(certName, certPEM); err != nil {
		return tls.Certificate{}, err
	}
	if _, err := parseKey(keyName, keyPEM); err != nil {
		return tls.Certificate{}, err
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil { // both are readable, so it can only be that one is not the other's
		return tls.Certificate{}, fmt.Errorf("%s and %s: key and certificate %w (%w): use the two files of one `member ca issue`",
			certName, keyName, ErrMismatch, err)
	}
	return cert, nil
}

// identityOf reads the one SAN that a member's certificate must have.
func identityOf(name string, cert *x509.Certificate) (cluster, id string, err error) {
	if len(cert.URIs) != 1 {
		return "", "", fmt.Errorf("%s: %w: %d URI SANs instead of one: issue it with `member ca issue`",
			name, ErrIdentity, len(cert.URIs))
	}
	path, ours := strings.CutPrefix(cert.URIs[0].String(), "spiffe://"+trustDomain+"/")
	cluster, id, found := strings.Cut(path, "/")
	if !ours || !found || !validName(cluster) || !validName(id) {
		return "", "", fmt.Errorf("%s: %w: URI SAN %q instead of spiffe://%s/<cluster>/<id>: issue it with `member ca issue`",
			name, ErrIdentity, cert.URIs[0], trustDomain)
	}
	return cluster, id, nil
}

// verify does what the peers will do.
func verify(certName, caName string, cert *x509.Certificate, roots *x509.CertPool, now time.Time) error {
	if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return fmt.Errorf("%s: %w: it holds from %s to %s and it is %s: renew it with `member ca rotate`, or set the clock",
			certName, ErrExpired, stamp(cert.NotBefore), stamp(cert.NotAfter), stamp(now))
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		_, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
		var invalid x509.CertificateInvalidError
		switch {
		case err == nil:
		case errors.As(err, &invalid) && invalid.Reason == x509.Expired: // the member's own was looked at above
			return fmt.Errorf("%s: the CA is %w (%w): make a new CA and issue again", caName, ErrExpired, err)
		default:
			return fmt.Errorf("%s and %s: certificate and CA %w (%w): use the ca.pem of the CA that issued it",
				certName, caName, ErrMismatch, err)
		}
	}
	return nil
}
