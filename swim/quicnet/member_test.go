package quicnet

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/infra/certs"
	"rollcall/infra/loopback"
	"rollcall/swim"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(processVariable); dir != "" {
		beProcess(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

// cluster makes members that trust each other.
type cluster struct {
	t  *testing.T
	ca *certs.CA
}

// ownPort binds a member where nobody else comes meanwhile: where it is bound again, or where nobody is to answer.
func ownPort(t *testing.T) func(*Config) {
	bind := netip.MustParseAddrPort(loopback.Addr(t))
	return func(config *Config) { config.Bind = bind }
}

func newCluster(t *testing.T, name string) *cluster {
	t.Helper()
	ca, err := certs.NewCA(name, time.Now().Add(-24*time.Hour), 0) // old enough for members that have expired
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{t: t, ca: ca}
}

func (c *cluster) identity(id string, validity time.Duration) *certs.Identity {
	c.t.Helper()
	identity, err := c.ca.Identity(id, time.Now(), validity)
	if err != nil {
		c.t.Fatal(err)
	}
	return identity
}

func (c *cluster) config(id string) Config {
	return Config{
		Cluster: c.ca.Cluster(), ID: swim.ID(id), Bind: anyPort, Credentials: c.identity(id, 0), tetherPause: pause,
	}
}

// member starts one that echoes exchanges and records the rest; edit may change its configuration first.
func (c *cluster) member(id string, edit ...func(*Config)) *member {
	c.t.Helper()
	config := c.config(id)
	config.handshakeLimit, config.Limits.Exchange = patience, patience
	for _, e := range edit {
		e(&config)
	}
	transport, err := Listen(config)
	if err != nil {
		c.t.Fatal(err)
	}
	m := &member{Transport: transport, t: c.t, id: config.ID, identity: config.Credentials}
	transport.Serve(m)
	c.t.Cleanup(func() {
		if err := transport.Close(context.Background()); err != nil {
			c.t.Error(err)
		}
	})
	return m
}

// member is a transport and the handler that records what it delivers.
type member struct {
	*Transport
	t        *testing.T
	id       swim.ID
	identity Credentials

	mu       sync.Mutex
	messages []message
	downs    []downNotice
	onAsk    func(ctx context.Context, from swim.ID, request []byte) ([]byte, error) // nil echoes
}

type message struct {
	from swim.ID
	addr netip.AddrPort
	text string
}

type downNotice struct {
	from swim.ID
	addr netip.AddrPort
	how  swim.Down
}

func (m *member) peer() swim.Peer { return swim.Peer{ID: m.id, Addr: m.LocalAddr()} }

func (m *member) HandleDatagram(from swim.ID, addr netip.AddrPort, datagram []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.messages = append(m.messages, message{from, addr, string(datagram)})
}

func (m *member) HandleExchange(ctx context.Context, from swim.ID, _ netip.AddrPort, request []byte) ([]byte, error) {
	m.mu.Lock()
	answer := m.onAsk
	m.mu.Unlock()
	if answer != nil {
		return answer(ctx, from, request)
	}
	return bytes.Clone(request), nil
}

func (m *member) HandleDown(from swim.ID, addr netip.AddrPort, how swim.Down) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.downs = append(m.downs, downNotice{from, addr, how})
}

func (m *member) answer(with func(ctx context.Context, from swim.ID, request []byte) ([]byte, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onAsk = with
}

func (m *member) received() []message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]message(nil), m.messages...)
}

func (m *member) notices() []downNotice {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]downNotice(nil), m.downs...)
}

// hears waits until text has come from that member.
func (m *member) hears(from swim.ID, text string) {
	m.t.Helper()
	eventually(m.t, string(m.id)+" hears "+text, func() bool {
		for _, got := range m.received() {
			if got.from == from && got.text == text {
				return true
			}
		}
		return false
	})
}

// ask exchanges and demands the echo.
func (m *member) ask(to swim.Peer, text string) swim.ID {
	m.t.Helper()
	from, reply, err := m.Exchange(m.t.Context(), to, []byte(text))
	if err != nil || string(reply) != text {
		m.t.Fatalf("%s asks %s: %q, %v", m.id, to.ID, reply, err)
	}
	return from
}

// patience bounds every wait: only what never comes reaches it.
const patience = time.Minute

// soon is how late a busy machine may make what comes at once on an idle one. Without what is tested it would never come, or
// with the answers that a probe misses: twice as late.
const soon = acked / 2

// eventually polls until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for !cond() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
