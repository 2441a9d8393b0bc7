package nats

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Validities of certificates, and how much the clocks of servers and clients may differ.
const (
	validityAuthority = 10 * 365 * 24 * time.Hour
	validityServer    = 365 * 24 * time.Hour
	clockSkew         = 5 * time.Minute
)

// authority signs the servers of one cluster's log. Members have another one: who may speak QUIC with members may not for
// that be a NATS server.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var authorityKeyFile = filepath.Join("tls", "ca-key.pem")

// openAuthority reads the authority that an earlier run left in dir, or makes one and puts it there.
func openAuthority(dir, cluster string, put func(string, []byte, os.FileMode) error, now time.Time) (*authority, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, CAFile), filepath.Join(dir, authorityKeyFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return newAuthority(dir, cluster, put, now)
	case err != nil:
		return nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("%s is no authority made by this command", filepath.Join(dir, CAFile))
	}
	return &authority{cert: pair.Leaf, key: key}, nil
}

func newAuthority(dir, cluster string, put func(string, []byte, os.FileMode) error, now time.Time) (*authority, error) {
	for _, name := range []string{CAFile, authorityKeyFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return nil, fmt.Errorf("of certificate and key only %s is there: restore the other, or remove it to begin anew", name)
		}
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Rollcall NATS CA " + cluster, Organization: []string{"Rollcall"}},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(validityAuthority),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	ca := &authority{}
	cert, key, err := ca.sign(template)
	if err != nil {
		return nil, err
	}
	return ca, errors.Join(put(CAFile, cert, modePublic), put(authorityKeyFile, key, modeSecret))
}

// issue signs a certificate for a server: towards its clients, and on both ends of a route.
func (ca *authority) issue(name, host string, now time.Time) (cert, key []byte, err error) {
	end := now.Add(validityServer)
	if end.After(ca.cert.NotAfter) {
		return nil, nil, fmt.Errorf("the authority ends %s: remove it, and the next run makes another",
			ca.cert.NotAfter.UTC().Format(time.RFC3339))
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              end,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	return ca.sign(template)
}

// sign makes a key and its certificate. An authority that has neither yet signs itself, and has them from then on.
func (ca *authority) sign(template *x509.Certificate) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, nil, err
	}
	parent, signer := ca.cert, ca.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, nil, err
	}
	if ca.cert == nil {
		if ca.cert, err = x509.ParseCertificate(der); err != nil {
			return nil, nil, err
		}
		ca.key = key
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}
