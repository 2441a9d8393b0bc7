package httpserver_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/infra/certs"
	"rollcall/infra/httpserver"
)

const (
	tokenA = "0123456789abcdef-a"
	tokenB = "0123456789abcdef-b"
)

func TestCheckAddress(t *testing.T) {
	for _, address := range []string{"127.0.0.1:8080", "127.0.0.2:0", "localhost:80", "[::1]:8080"} {
		if err := httpserver.CheckAddress(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{":8080", "0.0.0.0:8080", "[::]:8080", "10.0.0.1:80", "example.org:80", "localhost.example.org:80"} {
		if err := httpserver.CheckAddress(address); !errors.Is(err, httpserver.ErrNotLoopback) {
			t.Errorf("%s: error %v, want ErrNotLoopback", address, err)
		}
	}
	for _, address := range []string{"", "127.0.0.1", "::1"} {
		if err := httpserver.CheckAddress(address); err == nil || errors.Is(err, httpserver.ErrNotLoopback) {
			t.Errorf("%q: error %v, want one about the form", address, err)
		}
	}
}

// Beyond loopback both TLS and a token are needed, and the error names the flags that are missing.
func TestAccessNamesWhatIsMissing(t *testing.T) {
	cert, key, token := "--http-cert", "--http-key", "--http-token-file"
	for _, tc := range []struct {
		address string
		access  httpserver.Access
		names   []string // in the error; nil: none
		is      error
	}{
		{"127.0.0.1:0", httpserver.Access{}, nil, nil},
		{"127.0.0.1:0", httpserver.Access{TokenFile: "t"}, nil, nil},
		{"127.0.0.1:0", httpserver.Access{CertFile: "c", KeyFile: "k"}, nil, nil},
		{"0.0.0.0:0", httpserver.Access{CertFile: "c", KeyFile: "k", TokenFile: "t"}, nil, nil},
		{"127.0.0.1:0", httpserver.Access{CertFile: "c"}, []string{cert, key}, httpserver.ErrAccess},
		{"0.0.0.0:0", httpserver.Access{KeyFile: "k", TokenFile: "t"}, []string{cert, key}, httpserver.ErrAccess},
		{"0.0.0.0:0", httpserver.Access{}, []string{cert, key, token}, httpserver.ErrNotLoopback},
		{"[::]:0", httpserver.Access{TokenFile: "t"}, []string{cert, key}, httpserver.ErrNotLoopback},
		{"10.0.0.1:0", httpserver.Access{CertFile: "c", KeyFile: "k"}, []string{token}, httpserver.ErrNotLoopback},
	} {
		err := tc.access.Check(tc.address)
		if !errors.Is(err, tc.is) {
			t.Errorf("%s %+v: %v, want %v", tc.address, tc.access, err, tc.is)
		}
		for _, flag := range []string{cert, key, token} {
			named := err != nil && strings.Contains(err.Error(), flag)
			if wanted := strings.Contains(strings.Join(tc.names, " "), flag); named != wanted {
				t.Errorf("%s %+v: %v names %s: %v", tc.address, tc.access, err, flag, named)
			}
		}
		if _, lerr := httpserver.Listen(httpserver.Config{Address: tc.address, Access: tc.access}); err != nil && !errors.Is(lerr, tc.is) {
			t.Errorf("%s %+v is listened at: %v", tc.address, tc.access, lerr)
		}
	}
}

// pki is an authority with a server's certificate for 127.0.0.1, and a file with both tokens.
func pki(t *testing.T) (dir string, access httpserver.Access) {
	t.Helper()
	dir = t.TempDir()
	if err := certs.InitCA(dir, "test", time.Now(), 0); err != nil {
		t.Fatal(err)
	}
	if err := certs.IssueFiles(dir, "test", "server", time.Now(), 0, "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	access = httpserver.Access{
		CertFile: filepath.Join(dir, "server.pem"), KeyFile: filepath.Join(dir, "server-key.pem"), TokenFile: filepath.Join(dir, "tokens"),
	}
	write(t, access.TokenFile, "# who may ask\n"+tokenA+"\n\n"+tokenB+"\n")
	return dir, access
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// client trusts the authority in dir, and makes a new connection for every request.
func client(t *testing.T, dir string) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
}

func ask(t *testing.T, c *http.Client, method, url string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(request)
	}
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func TestTokenIsAskedFor(t *testing.T) {
	dir, access := pki(t)
	s := listenAs(t, httpserver.Config{Address: "127.0.0.1:0", Access: access})
	s.Start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := httpserver.CheckSameSite(r); err != nil {
			httpserver.NewProblem(http.StatusForbidden, "cross-site", "Not from here", err.Error()).Write(w)
		}
	}))
	c := client(t, dir)
	basic := func(user, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(user, password) }
	}
	both := func(first, second func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) { first(r); second(r) }
	}
	for name, tc := range map[string]struct {
		method, path string
		change       func(*http.Request)
		status       int
	}{
		"no token":           {"GET", "/v1/nodes", nil, 401},
		"no token, POST":     {"POST", "/v1/projections/registry/pause", nil, 401},
		"the page":           {"GET", "/", nil, 401},
		"metrics":            {"GET", "/metrics", nil, 401},
		"live":               {"GET", "/livez", nil, 200},
		"ready":              {"GET", "/readyz", nil, 200},
		"below ready":        {"GET", "/readyz/x", nil, 401},
		"first token":        {"GET", "/v1/nodes", bearer(tokenA), 200},
		"second token":       {"GET", "/v1/nodes", bearer(tokenB), 200},
		"POST with a token":  {"POST", "/v1/projections/registry/pause", bearer(tokenA), 200},
		"as a password":      {"GET", "/", basic("anybody", tokenB), 200},
		"wrong":              {"GET", "/v1/nodes", bearer(tokenA + "x"), 401},
		"a part":             {"GET", "/v1/nodes", bearer(tokenA[:16]), 401},
		"empty":              {"GET", "/v1/nodes", bearer(""), 401},
		"a comment":          {"GET", "/v1/nodes", bearer("# who may ask"), 401},
		"as a user":          {"GET", "/", basic(tokenA, ""), 401},
		"another scheme":     {"GET", "/v1/nodes", func(r *http.Request) { r.Header.Set("Authorization", "Digest "+tokenA) }, 401},
		"by any name":        {"POST", "/", both(bearer(tokenA), func(r *http.Request) { r.Host = "rollcall.example.org" }), 200},
		"by another site":    {"POST", "/", both(basic("", tokenA), func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }), 403},
		"from another place": {"POST", "/", both(basic("", tokenA), func(r *http.Request) { r.Header.Set("Origin", "https://example.org") }), 403},
	} {
		response, body := ask(t, c, tc.method, s.URL()+tc.path, tc.change)
		if response.StatusCode != tc.status {
			t.Errorf("%s: %s %s", name, response.Status, body)
		}
		schemes := strings.Join(response.Header.Values("WWW-Authenticate"), ", ")
		if refused := tc.status == 401; refused != strings.HasPrefix(schemes, "Bearer ") ||
			refused != strings.Contains(schemes, "Basic ") || refused != strings.Contains(body, `"urn:rollcall:problem:unauthorized"`) ||
			refused != (response.Header.Get("Content-Type") == "application/problem+json" && tc.status != 403) {
			t.Errorf("%s: %v %s", name, response.Header, body)
		}
		if strings.Contains(body, tokenA) {
			t.Errorf("%s: the answer repeats the token: %s", name, body)
		}
	}
}

// With a certificate the server speaks TLS and nothing else.
func TestTLSAlone(t *testing.T) {
	dir, access := pki(t)
	access.TokenFile = ""
	s := listenAs(t, httpserver.Config{Address: "127.0.0.1:0", Access: access})
	s.Start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.TLS != nil, r.Proto) }))
	if response, body := ask(t, client(t, dir), "GET", s.URL(), nil); response.StatusCode != 200 || body != "trueHTTP/1.1" {
		t.Errorf("%s %s", response.Status, body)
	}
	if response, _ := ask(t, client(t, dir), "GET", "http://"+s.Addr(), nil); response.StatusCode != http.StatusBadRequest {
		t.Errorf("without TLS: %s", response.Status)
	}
	stranger := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if _, err := stranger.Get(s.URL()); err == nil {
		t.Error("somebody who does not know the authority trusts the server")
	}
}

// New files are taken over without a restart; broken ones are not.
func TestFilesAreReadAgain(t *testing.T) {
	dir, access := pki(t)
	s := listenAs(t, httpserver.Config{Address: "127.0.0.1:0", Access: access})
	s.Start(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	c := client(t, dir)
	try := func(token string) (status int, serial string) {
		response, _ := ask(t, c, "GET", s.URL(), bearer(token))
		return response.StatusCode, response.TLS.PeerCertificates[0].SerialNumber.String()
	}
	const next = "the-next-token-of-them"
	_, before := try(tokenA)
	if status, _ := try(next); status != 401 {
		t.Fatalf("a token that nobody gave out: %d", status)
	}
	write(t, access.TokenFile, next+"\n")
	if _, err := certs.Rotate(dir, time.Now(), 0); err != nil {
		t.Fatal(err)
	}
	until(t, "new token", func() bool { status, _ := try(next); return status == 200 })
	until(t, "new certificate", func() bool { _, serial := try(next); return serial != before })
	if status, _ := try(tokenA); status != 401 {
		t.Errorf("the old token: %d", status)
	}
	_, before = try(next)
	write(t, access.TokenFile, "short\n")
	write(t, access.CertFile, "none")
	began := time.Now()
	until(t, "look at the broken files", func() bool {
		if status, serial := try(next); status != 200 || serial != before {
			t.Fatalf("after broken files: %d, certificate %s, want %s", status, serial, before)
		}
		return time.Since(began) > 1500*time.Millisecond // files are looked at every second
	})
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("no %s after a minute", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func TestFilesThatAreNone(t *testing.T) {
	dir, good := pki(t)
	file := func(name, text string) string {
		write(t, filepath.Join(dir, name), text)
		return filepath.Join(dir, name)
	}
	for name, tc := range map[string]struct {
		access httpserver.Access
		want   string
	}{
		"no certificate": {httpserver.Access{CertFile: dir + "/none.pem", KeyFile: good.KeyFile}, "--http-cert"},
		"another's key":  {httpserver.Access{CertFile: good.CertFile, KeyFile: dir + "/ca-key.pem"}, "--http-key"},
		"no tokens":      {httpserver.Access{TokenFile: dir + "/none"}, "--http-token-file"},
		"empty":          {httpserver.Access{TokenFile: file("empty", "\n# nothing\n")}, "it is empty; make one"},
		"short":          {httpserver.Access{TokenFile: file("short", "secret\n")}, "line 1 has 6 characters"},
		"blanks":         {httpserver.Access{TokenFile: file("blanks", tokenA+"\n"+tokenA+" x\n")}, "line 2 has characters"},
		"many":           {httpserver.Access{TokenFile: file("many", strings.Repeat(tokenA+"\n", 17))}, "more than 16"},
	} {
		s, err := httpserver.Listen(httpserver.Config{Address: "127.0.0.1:0", Access: tc.access})
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), tokenA) {
			t.Errorf("%s: the error shows a token: %v", name, err)
		}
	}
}
