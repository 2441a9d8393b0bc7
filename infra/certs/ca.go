package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	// ValidityCA and ValidityMember are how long certificates hold when the caller gives no validity.
	ValidityCA     = 10 * 365 * 24 * time.Hour
	ValidityMember = 365 * 24 * time.Hour

	clockSkew = 5 * time.Minute // certificates begin this much in the past: the reader's clock may be behind ours

	trustDomain = "rollcall" // host of every SAN; the CA may sign no other
	idMax       = 64         // bytes of a cluster's or a member's name
)

// Errors of this package; test with [errors.Is].
var (
	ErrName     = errors.New("not a valid name")                      // cluster or id: syntax, or a name that files need
	ErrCluster  = errors.New("of another cluster")                    // certificate or CA belongs elsewhere
	ErrExists   = errors.New("exists already and is not overwritten") // a file in the way
	ErrExpired  = errors.New("outside its validity")                  // expired, not yet valid, or would outlive its CA
	ErrMismatch = errors.New("does not belong together")              // key and certificate, certificate and CA
	ErrIdentity = errors.New("carries no usable identity")            // not exactly one SAN of the known form
	ErrFormat   = errors.New("is not readable")                       // not PEM, or not what the PEM claims
)

// CA signs the certificates of one cluster. It is immutable and safe for concurrent use.
type CA struct {
	cluster string
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
}

// NewCA makes an authority for a cluster, with a new key. It holds from five minutes before now for validity; zero
// means [ValidityCA]. The error is [ErrName] or [ErrExpired] (negative validity), or the system's random source's.
func NewCA(cluster string, now time.Time, validity time.Duration) (*CA, error) {
	if !validName(cluster) {
		return nil, fmt.Errorf("cluster %q: %w: use 1 to %d of A-Z a-z 0-9 _ -", cluster, ErrName, idMax)
	}
	validity, err := validityOr(validity, ValidityCA)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("key of the CA: %w", err)
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		// The cluster's name is in the organizational unit: the CA has no SAN, it is nobody's identity.
		Subject: pkix.Name{
			CommonName: "Rollcall CA " + cluster, Organization: []string{"Rollcall"}, OrganizationalUnit: []string{cluster},
		},
		NotBefore:                   now.Add(-clockSkew),
		NotAfter:                    now.Add(validity),
		IsCA:                        true,
		BasicConstraintsValid:       true,
		MaxPathLenZero:              true, // it signs members, never another authority
		KeyUsage:                    x509.KeyUsageCertSign,
		PermittedDNSDomainsCritical: true,
		PermittedURIDomains:         []string{trustDomain},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("certificate of the CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate of the CA: %w", err)
	}
	return &CA{cluster: cluster, cert: cert, key: key}, nil
}

// Cluster is the name of the cluster whose members it signs.
func (ca *CA) Cluster() string { return ca.cluster }

// CertPEM is the CA's certificate, to be given to every member.
func (ca *CA) CertPEM() []byte { return encodePEM(pemCertificate, ca.cert.Raw) }

// Issue signs a certificate for a member, with a new key: SAN spiffe://rollcall/<cluster>/<id>, for clients and servers.
// It holds from five minutes before now for validity; zero means [ValidityMember]. With hosts, names or IP addresses, it also
// is what an HTTPS server there shows to clients that trust the CA. The error is [ErrName], or [ErrExpired] when the certificate
// would outlive the CA's own.
func (ca *CA) Issue(id string, now time.Time, validity time.Duration, hosts ...string) (certPEM, keyPEM []byte, err error) {
	if !validName(id) {
		return nil, nil, fmt.Errorf("id %q: %w: use 1 to %d of A-Z a-z 0-9 _ -", id, ErrName, idMax)
	}
	names, addresses, err := splitHosts(hosts)
	if err != nil {
		return nil, nil, err
	}
	if validity, err = validityOr(validity, ValidityMember); err != nil {
		return nil, nil, err
	}
	if end := now.Add(validity); end.After(ca.cert.NotAfter) {
		return nil, nil, fmt.Errorf("certificate of %s until %s: %w: the CA ends %s: ask for less, or make a new CA",
			id, stamp(end), ErrExpired, stamp(ca.cert.NotAfter))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("key of %s: %w", id, err)
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: id},
		URIs:                  []*url.URL{{Scheme: "spiffe", Host: trustDomain, Path: "/" + ca.cluster + "/" + id}},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(validity),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		DNSNames:              names,
		IPAddresses:           addresses,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate of %s: %w", id, err)
	}
	if keyPEM, err = encodeKey(key); err != nil {
		return nil, nil, fmt.Errorf("key of %s: %w", id, err)
	}
	return encodePEM(pemCertificate, der), keyPEM, nil
}

// Identity issues a certificate and holds it in memory: for tests and members that live in one process with their CA.
func (ca *CA) Identity(id string, now time.Time, validity time.Duration) (*Identity, error) {
	certPEM, keyPEM, err := ca.Issue(id, now, validity)
	if err != nil {
		return nil, err
	}
	return newIdentity(memory{cert: certPEM, key: keyPEM, ca: ca.CertPEM()}, func() time.Time { return now })
}

const (
	pemCertificate = "CERTIFICATE"
	pemKey         = "PRIVATE KEY"
)

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return encodePEM(pemKey, der), nil
}

// serialNumber is random, so that certificates need no counter anywhere.
func serialNumber() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("serial number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil
}

func validityOr(validity, standard time.Duration) (time.Duration, error) {
	switch {
	case validity == 0:
		return standard, nil
	case validity < 0:
		return 0, fmt.Errorf("validity %v: %w: it must be more than zero, or zero for %v", validity, ErrExpired, standard)
	default:
		return validity, nil
	}
}

// hostName is a DNS name without a final dot; digits and dots alone are an address, or a mistake.
var hostName = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// splitHosts tells names from addresses.
func splitHosts(hosts []string) (names []string, addresses []net.IP, err error) {
	for _, host := range hosts {
		switch ip := net.ParseIP(host); {
		case ip != nil:
			addresses = append(addresses, ip)
		case len(host) <= 253 && hostName.MatchString(host):
			names = append(names, host)
		default:
			return nil, nil, fmt.Errorf("host %q: %w: want a DNS name or an IP address", host, ErrName)
		}
	}
	return names, addresses, nil
}

// hostsOf are the hosts that a certificate was issued for.
func hostsOf(cert *x509.Certificate) []string {
	hosts := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return hosts
}

// validName reports whether s can name a cluster or a member: the same letters everywhere, also a NATS token.
func validName(s string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	return s != "" && len(s) <= idMax && strings.Trim(s, letters) == ""
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
