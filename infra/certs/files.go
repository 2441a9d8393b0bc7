package certs

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	caCertFile = "ca.pem"
	caKeyFile  = "ca-key.pem"
	suffix     = ".pem"
	keySuffix  = "-key.pem"

	modeKey  = 0o600
	modeCert = 0o644
)

// InitCA makes an authority in dir, which it creates when missing: dir/ca.pem for every member, dir/ca-key.pem (mode
// 0600) for nobody. It never overwrites: [ErrExists].
func InitCA(dir, cluster string, now time.Time, validity time.Duration) error {
	ca, err := NewCA(cluster, now, validity)
	if err != nil {
		return err
	}
	keyPEM, err := encodeKey(ca.key)
	if err != nil {
		return fmt.Errorf("key of the CA: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("directory of the CA: %w", err)
	}
	return writeNew(filepath.Join(dir, caCertFile), ca.CertPEM(), filepath.Join(dir, caKeyFile), keyPEM)
}

// OpenCA reads the authority that [InitCA] made in dir.
func OpenCA(dir string) (*CA, error) {
	certName, keyName := filepath.Join(dir, caCertFile), filepath.Join(dir, caKeyFile)
	certPEM, err := os.ReadFile(certName)
	if err != nil {
		return nil, fmt.Errorf("CA certificate: %w: make a CA with `member ca init`", err)
	}
	keyPEM, err := os.ReadFile(keyName)
	if err != nil {
		return nil, fmt.Errorf("CA key: %w: run this where `member ca init` was run", err)
	}
	cert, err := parseCertificate(certName, certPEM)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(keyName, keyPEM)
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s and %s: key and certificate %w: restore the two files of one `member ca init`",
			certName, keyName, ErrMismatch)
	}
	if !cert.IsCA || len(cert.Subject.OrganizationalUnit) != 1 || !validName(cert.Subject.OrganizationalUnit[0]) {
		return nil, fmt.Errorf("%s: %w as a cluster's CA: make one with `member ca init`", certName, ErrIdentity)
	}
	return &CA{cluster: cert.Subject.OrganizationalUnit[0], cert: cert, key: key}, nil
}

// IssueFiles signs a certificate as [CA.Issue] does with the authority in dir: dir/ID.pem and dir/ID-key.pem (mode 0600). The
// cluster must be the authority's own: [ErrCluster]. It never overwrites: [ErrExists]; renew with [Rotate].
func IssueFiles(dir, cluster, id string, now time.Time, validity time.Duration, hosts ...string) error {
	// Such a member's files would be the CA's, or the key of another member.
	if id == "ca" || strings.HasSuffix(id, "-key") {
		return fmt.Errorf("id %q: %w: files of that name mean something else: choose another", id, ErrName)
	}
	ca, err := OpenCA(dir)
	if err != nil {
		return err
	}
	if cluster != ca.cluster {
		return fmt.Errorf("CA in %s: %w: it signs members of %q, not of %q: name its cluster, or make a CA for this one",
			dir, ErrCluster, ca.cluster, cluster)
	}
	certPEM, keyPEM, err := ca.Issue(id, now, validity, hosts...)
	if err != nil {
		return err
	}
	return writeNew(filepath.Join(dir, id+suffix), certPEM, filepath.Join(dir, id+keySuffix), keyPEM)
}

// Rotate renews, with new keys and the same hosts, every member certificate that lies beside the authority in dir, and returns
// their ids in order. The CA itself stays. Each file is replaced in one step, the key before the certificate; a member that looks in
// between finds that they don't match and looks again. On error, those named in the answer are renewed already.
func Rotate(dir string, now time.Time, validity time.Duration) ([]string, error) {
	ca, err := OpenCA(dir)
	if err != nil {
		return nil, err
	}
	keys, err := filepath.Glob(filepath.Join(dir, "*"+keySuffix))
	if err != nil {
		return nil, fmt.Errorf("members in %s: %w", dir, err)
	}
	slices.Sort(keys)
	var ids []string
	for _, keyName := range keys {
		id := strings.TrimSuffix(filepath.Base(keyName), keySuffix)
		certName := filepath.Join(dir, id+suffix)
		if id == "ca" {
			continue
		}
		old, err := os.ReadFile(certName)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a key without a certificate is none of ours
		} else if err != nil {
			return ids, fmt.Errorf("member certificate: %w", err)
		}
		cert, err := parseCertificate(certName, old)
		if err != nil {
			return ids, err
		}
		if cluster, named, err := identityOf(certName, cert); err != nil {
			return ids, err
		} else if cluster != ca.cluster || named != id {
			return ids, fmt.Errorf("%s: %w: it names %s/%s, and here belongs %s/%s: move it away",
				certName, ErrIdentity, cluster, named, ca.cluster, id)
		}
		certPEM, keyPEM, err := ca.Issue(id, now, validity, hostsOf(cert)...)
		if err != nil {
			return ids, err
		}
		if err := errors.Join(replace(keyName, keyPEM, modeKey), replace(certName, certPEM, modeCert)); err != nil {
			return ids, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// writeNew writes a certificate and its key; if either file is there already it writes neither.
func writeNew(certName string, certPEM []byte, keyName string, keyPEM []byte) error {
	for _, name := range []string{certName, keyName} {
		if _, err := os.Lstat(name); err == nil {
			return fmt.Errorf("%s: %w: move it away first, or renew with `member ca rotate`", name, ErrExists)
		}
	}
	if err := create(keyName, keyPEM, modeKey); err != nil {
		return err
	}
	if err := create(certName, certPEM, modeCert); err != nil {
		return errors.Join(err, os.Remove(keyName))
	}
	return nil
}

// create writes a file that must not exist, also not since we looked.
func create(name string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w: move it away first", name, ErrExists)
	} else if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write: %w", err), os.Remove(name))
	}
	return nil
}

// replace puts data in a file's place in one step: a reader sees the old text or the new one.
func replace(name string, data []byte, mode fs.FileMode) error {
	next := name + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) { // left by a crash
		return fmt.Errorf("replace %s: %w", name, err)
	}
	if err := create(next, data, mode); err != nil {
		return err
	}
	if err := os.Rename(next, name); err != nil {
		return fmt.Errorf("replace: %w", err)
	}
	return nil
}

func parseCertificate(name string, text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemCertificate {
		return nil, fmt.Errorf("%s: %w: it must begin with a PEM block %q: issue it again", name, ErrFormat, pemCertificate)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w as a certificate: %w: issue it again", name, ErrFormat, err)
	}
	return cert, nil
}

func parseKey(name string, text []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemKey {
		return nil, fmt.Errorf("%s: %w: it must begin with a PEM block %q: issue it again", name, ErrFormat, pemKey)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w as a key: %w: issue it again", name, ErrFormat, err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: %w: %T instead of an ECDSA key: issue it again", name, ErrFormat, key)
	}
	return ec, nil
}

func parseRoots(name string, text []byte) (*x509.CertPool, error) {
	if _, err := parseCertificate(name, text); err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text) // all that it holds: two, while one CA takes over from another
	return roots, nil
}
