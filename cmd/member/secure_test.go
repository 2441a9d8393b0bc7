package main

import (
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rollcall/infra/certs"
	"rollcall/infra/httpserver"
)

// secured is a server that asks for a token, and the files that a client of it needs.
type secured struct{ url, ca, token string }

// secure puts a server with TLS and a token before an API.
func secure(t *testing.T, api string) secured {
	t.Helper()
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("a-token-of-some-length\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := certs.InitCA(dir, "test", time.Now(), 0); err != nil {
		t.Fatal(err)
	}
	if err := certs.IssueFiles(dir, "test", "projector", time.Now(), 0, "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	server, err := httpserver.Listen(httpserver.Config{Address: "127.0.0.1:0", Access: httpserver.Access{
		CertFile: filepath.Join(dir, "projector.pem"), KeyFile: filepath.Join(dir, "projector-key.pem"), TokenFile: token,
	}})
	if err != nil {
		t.Fatal(err)
	}
	behind, err := url.Parse(api)
	if err != nil {
		t.Fatal(err)
	}
	server.Start(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(behind) }, FlushInterval: -1,
	})
	t.Cleanup(func() { server.Close() })
	return secured{server.URL(), filepath.Join(dir, "ca.pem"), token}
}
