package httpserver_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"rollcall/infra/httpserver"
)

func TestMain(m *testing.M) {
	// After a refused header the server lingers for half a second, so that the client reads the answer before the end.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

func listen(t *testing.T, address string) *httpserver.Server {
	t.Helper()
	return listenAs(t, httpserver.Config{Address: address})
}

func listenAs(t *testing.T, cfg httpserver.Config) *httpserver.Server {
	t.Helper()
	s, err := httpserver.Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func TestListenRefuses(t *testing.T) {
	first := listen(t, "127.0.0.1:0")
	for name, address := range map[string]string{
		"taken": first.Addr(), "not loopback": "0.0.0.0:0", "no port": "127.0.0.1:http-alt-that-is-none",
	} {
		if s, err := httpserver.Listen(httpserver.Config{Address: address}); err == nil {
			t.Errorf("%s: %s is listened at", name, s.Addr())
			s.Close()
		}
	}
}

// A client that comes before Start is answered after it; Close ends a stream that would go on for ever.
func TestServesUntilClosed(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	early, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	if _, err := io.WriteString(early, "GET / HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	s.Start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	response, err := http.ReadResponse(bufio.NewReader(early), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body := bufio.NewReader(response.Body)
	if line, err := body.ReadString('\n'); line != "first\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if rest, err := io.ReadAll(body); err == nil {
		t.Errorf("the stream goes on with %q", rest)
	}
	if c, err := net.Dial("tcp", s.Addr()); err == nil {
		t.Error("a closed server takes connections")
		c.Close()
	}
}

func TestHeaderIsBounded(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	s.Start(http.NotFoundHandler())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Large", strings.Repeat("x", 64<<10))
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of 64 KiB: %s", response.Status)
	}
}
