package cli_test

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/infra/cli"
)

const token = "a-token-of-some-length"

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func parse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func get(c *http.Client, url string) (*http.Response, error) {
	response, err := c.Get(url)
	if err == nil {
		response.Body.Close()
	}
	c.CloseIdleConnections()
	return response, err
}

// The token goes with every request to the server, and to no other that the server sends its clients to.
func TestTokenGoesToTheServerAlone(t *testing.T) {
	var elsewhere []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		elsewhere = append(elsewhere, r.Header.Get("Authorization"))
	}))
	defer other.Close()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Got", r.Header.Get("Authorization"))
		http.Redirect(w, r, other.URL, http.StatusFound)
	}))
	defer server.Close()
	ca := file(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	api := cli.API{CAFile: ca, TokenFile: file(t, token+"\nanother-token-after-it\n")}
	c, err := api.Client(parse(t, server.URL), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	response, err := get(c, server.URL)
	if err != nil || response.Header.Get("X-Got") != "Bearer "+token || len(elsewhere) != 0 {
		t.Errorf("%v, %v; elsewhere %q", response, err, elsewhere)
	}

	stranger, err := cli.API{}.Client(parse(t, server.URL), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := get(stranger, server.URL); err == nil || !strings.Contains(cli.Unreached(err), "--api-ca") {
		t.Errorf("without the authority: %v, %q", err, cli.Unreached(err))
	}
}

func TestAPIRefuses(t *testing.T) {
	good := file(t, token)
	for name, tc := range map[string]struct {
		base  string
		api   cli.API
		usage bool
		want  string
	}{
		"in the clear":        {"http://10.0.0.9:8080", cli.API{TokenFile: good}, true, "use https://"},
		"in the clear, named": {"http://example.org", cli.API{TokenFile: good}, true, "use https://"},
		"short":               {"https://10.0.0.9", cli.API{TokenFile: file(t, "x")}, false, "--token-file"},
		"no file":             {"https://10.0.0.9", cli.API{TokenFile: good + ".none"}, false, "--token-file"},
		"no authority":        {"https://10.0.0.9", cli.API{CAFile: good}, false, "no certificate in PEM"},
	} {
		_, err := tc.api.Client(parse(t, tc.base), time.Second)
		if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, cli.ErrUsage) != tc.usage {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, base := range []string{"http://127.0.0.1:8080", "http://localhost", "http://[::1]:80", "https://10.0.0.9"} {
		if _, err := (cli.API{TokenFile: good}).Client(parse(t, base), time.Second); err != nil {
			t.Errorf("%s: %v", base, err)
		}
	}
}
