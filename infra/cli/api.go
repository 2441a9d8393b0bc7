package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/pflag"

	"rollcall/infra/httpserver"
)

// API is what the flags --api-ca and --token-file say of a server that is asked over HTTP.
type API struct {
	CAFile    string // certificates to trust, PEM; empty: those of the system
	TokenFile string // the first token in it is shown to the server; empty: none
}

// APIFlags adds --api-ca and --token-file to fs; the values are there once the flags are parsed.
func APIFlags(fs *pflag.FlagSet) *API {
	a := &API{}
	fs.StringVar(&a.CAFile, "api-ca", "", "trust servers by the certificates in this `FILE`; empty: by those of the system")
	fs.StringVar(&a.TokenFile, "token-file", "", "show the server the token in this `FILE`, its first line")
	return a
}

// Client returns a client for the server at base, each of whose steps, not the whole of an answer, takes at most timeout. It
// follows no redirects, so that a token goes to base and nowhere else. The error is ErrUsage for what the flags say, and that
// a file cannot be read.
func (a API) Client(base *url.URL, timeout time.Duration) (*http.Client, error) {
	transport := &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: timeout}).DialContext, TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout,
	}
	if a.CAFile != "" {
		roots, err := readRoots(a.CAFile)
		if err != nil {
			return nil, fmt.Errorf("--api-ca: %w", err)
		}
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if a.TokenFile == "" {
		return client, nil
	}
	tokens, err := httpserver.ReadTokens(a.TokenFile)
	switch {
	case err != nil:
		return nil, fmt.Errorf("--token-file: %w", err)
	case base.Scheme != "https" && httpserver.CheckAddress(hostPort(base)) != nil:
		return nil, Errorf(ErrUsage, "--token-file: anybody on the way to %s could read the token: use https://", base)
	}
	client.Transport = &bearer{transport, tokens[0]}
	return client, nil
}

// hostPort is the address that a URL leads to.
func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	return net.JoinHostPort(u.Hostname(), "80")
}

func readRoots(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return roots, nil
}

// bearer shows a token with every request.
type bearer struct {
	http.RoundTripper
	token string
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.RoundTripper.RoundTrip(r)
}

// Unreached says what somebody can do about an error of a request that no server answered; empty when it says that itself.
func Unreached(err error) string {
	if unknown := new(x509.UnknownAuthorityError); errors.As(err, unknown) {
		return "name the authority of its certificate with --api-ca"
	}
	return ""
}
