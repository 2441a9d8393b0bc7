package httpserver

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are pipes in memory, so that time can be virtual.
type pipes struct {
	dialed chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{dialed: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.dialed:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial returns the client's end, or nil when nobody accepts while everything rests.
func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	select {
	case p.dialed <- theirs:
		return ours
	case <-time.After(time.Second):
		return nil
	}
}

func serve(t *testing.T, cfg Config, handler http.HandlerFunc) (*pipes, *Server) {
	t.Helper()
	p := newPipes()
	s, err := newServer(p, cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Start(handler)
	return p, s
}

// cut says after what virtual time the server ends a connection to which the client has written this and no more.
func cut(t *testing.T, conn net.Conn, text string) time.Duration {
	t.Helper()
	began := time.Now()
	go func() { _, _ = io.WriteString(conn, text) }() // the server may not take all of it
	_, err := io.Copy(io.Discard, conn)
	if err != nil {
		t.Errorf("%q: %v", text, err)
	}
	conn.Close()
	return time.Since(began).Truncate(time.Second)
}

// I15: what a client begins and does not end is cut off, whichever part it is.
func TestSlowClientsAreCutOff(t *testing.T) {
	for name, tc := range map[string]struct {
		text  string
		after time.Duration
	}{
		"says nothing":       {"", headerLimit},
		"half a header":      {"GET / HTTP/1.1\r\nHost: x\r\nX: y", headerLimit},
		"half a body":        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345", bodyLimit},
		"asks no more":       {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", idleLimit},
		"a whole body, idle": {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345", idleLimit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, s := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
					if _, err := io.ReadAll(r.Body); err != nil {
						w.WriteHeader(http.StatusRequestTimeout)
					}
				})
				// After an error the server lingers for half a second.
				if got := cut(t, p.dial(), tc.text); got < tc.after || got > tc.after+time.Second {
					t.Errorf("cut off after %v, want %v", got, tc.after)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A client that takes no answer holds its handler for answerLimit and no longer.
func TestUnreadAnswerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Duration, 1)
		p, s := serve(t, Config{}, func(w http.ResponseWriter, _ *http.Request) {
			began := time.Now()
			_, err := io.WriteString(w, strings.Repeat("x", 1<<20))
			if err == nil {
				t.Error("a megabyte was written to nobody")
			}
			ended <- time.Since(began)
		})
		conn := p.dial()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if got := <-ended; got != answerLimit {
			t.Errorf("given up after %v, want %v", got, answerLimit)
		}
		conn.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// The deadline of a body ends with the body: what the handler does after it may take its time, and knows whether its client is there.
func TestDeadlineOfTheBodyEndsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := serve(t, Config{}, func(_ http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				t.Error(err)
			}
			select {
			case <-r.Context().Done():
				t.Error("the request's context ended while its client waits")
			case <-time.After(2 * bodyLimit):
			}
		})
		conn := p.dial()
		go func() { _, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345") }()
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("%v, %v", response, err)
		}
		conn.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// I15: one connection more than there may be waits until another ends.
func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := serve(t, Config{Connections: 2}, func(http.ResponseWriter, *http.Request) {})
		one, two := p.dial(), p.dial()
		if one == nil || two == nil {
			t.Fatal("two connections are not taken")
		}
		if p.dial() != nil {
			t.Error("a third connection is taken")
		}
		one.Close()
		synctest.Wait()
		three := p.dial()
		if three == nil {
			t.Fatal("nobody comes after one that went")
		}
		two.Close()
		three.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
