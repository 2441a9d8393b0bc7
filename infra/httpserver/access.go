package httpserver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/spf13/pflag"
)

// ErrNotLoopback says that an address could be reached from elsewhere, and may not be.
var ErrNotLoopback = errors.New("it can be reached from other machines")

// ErrAccess says that an Access is half of something.
var ErrAccess = errors.New("TLS needs a certificate and its key")

// Access is who may ask a server, and how. The zero value is plain HTTP for this machine.
type Access struct {
	CertFile  string // certificate chain, PEM; with KeyFile: the server speaks TLS
	KeyFile   string
	TokenFile string // tokens, one a line: each request needs one of them
}

// AccessFlags adds --http-cert, --http-key and --http-token-file to f; the values are there once the flags are parsed.
func AccessFlags(f *pflag.FlagSet) *Access {
	a := &Access{}
	f.StringVar(&a.CertFile, "http-cert", "", "certificate `FILE` of --http, which then speaks TLS; read again when it changes")
	f.StringVar(&a.KeyFile, "http-key", "", "key `FILE` of --http-cert")
	f.StringVar(&a.TokenFile, "http-token-file", "", "ask for one of the tokens in this `FILE`, one a line, at --http; read again when it changes")
	return a
}

// Check refuses what is not HOST:PORT, with ErrAccess half of a key pair, and with ErrNotLoopback an address beyond loopback where
// TLS or the token is missing. It names the flags that are.
func (a Access) Check(address string) error {
	err := CheckAddress(address)
	if (a.CertFile == "") != (a.KeyFile == "") {
		return fmt.Errorf("%w: give both --http-cert and --http-key, or neither", ErrAccess)
	}
	if !errors.Is(err, ErrNotLoopback) {
		return err
	}
	var missing []string
	if a.CertFile == "" {
		missing = append(missing, "--http-cert", "--http-key")
	}
	if a.TokenFile == "" {
		missing = append(missing, "--http-token-file")
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w, which takes TLS and a token: give %s, or listen at 127.0.0.1", err, strings.Join(missing, " "))
}

// CheckAddress refuses what is not HOST:PORT, and with ErrNotLoopback what is not on loopback.
func CheckAddress(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q: want HOST:PORT: %w", address, err)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return fmt.Errorf("%s: %w", address, ErrNotLoopback)
	}
	return nil
}
