package natsd_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"rollcall/infra/loopback"
	"rollcall/infra/natsd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, cfg natsd.Config) *natsd.Server {
	t.Helper()
	srv, err := natsd.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
	return srv
}

func jetStream(t *testing.T, url string, opts ...nats.Option) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// I1: what was acknowledged is there after a stop and a new start on the same directory and the same port.
func TestRestartKeepsMessagesAndPort(t *testing.T) {
	dir, addr := t.TempDir(), loopback.Addr(t)
	srv := start(t, natsd.Config{Dir: dir, Listen: addr})
	js := jetStream(t, srv.URL())
	stream := jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Storage: jetstream.FileStorage}
	if _, err := js.CreateStream(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s.1", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	url := srv.URL()
	srv.Shutdown()
	srv.Shutdown()

	again := start(t, natsd.Config{Dir: dir, Listen: addr})
	if again.URL() != url {
		t.Errorf("URL after the restart is %s, want %s", again.URL(), url)
	}
	s, err := jetStream(t, url).Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := s.GetMsg(t.Context(), 1)
	if err != nil || string(msg.Data) != "kept" {
		t.Errorf("message 1 after the restart: %v, %v; want \"kept\"", msg, err)
	}
}

// I1: a stream that cannot be read is not passed over, for who finds none makes an empty one.
func TestRefusesDamagedStream(t *testing.T) {
	dir := t.TempDir()
	srv := start(t, natsd.Config{Dir: dir, Listen: "127.0.0.1:0"})
	js := jetStream(t, srv.URL())
	for _, name := range []string{"S", "EMPTY"} {
		stream := jetstream.StreamConfig{Name: name, Subjects: []string{name}, Storage: jetstream.FileStorage}
		if _, err := js.CreateStream(t.Context(), stream); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := js.Publish(t.Context(), "S", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	srv.Shutdown()
	streams := filepath.Join(dir, "jetstream", "$G", "streams")
	for _, name := range []string{"S", "EMPTY"} { // each as a kill leaves it that comes before all of it is written
		if err := os.WriteFile(filepath.Join(streams, name, "meta.sum"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := natsd.Start(t.Context(), natsd.Config{Dir: dir})
	if !errors.Is(err, natsd.ErrDamaged) || !strings.Contains(err.Error(), filepath.Join(streams, "S")) {
		t.Errorf("Start with a stream that cannot be read: %v; want ErrDamaged with its directory", err)
	}
	if err := os.Rename(filepath.Join(streams, "S"), filepath.Join(dir, "S")); err != nil {
		t.Fatal(err)
	}
	start(t, natsd.Config{Dir: dir}) // a stream that was never written to is no loss
}

func TestWithoutListenerIsReachedInProcessOnly(t *testing.T) {
	srv := start(t, natsd.Config{Dir: t.TempDir()})
	if srv.URL() != "" {
		t.Errorf("URL is %q without a listener, want none", srv.URL())
	}
	js := jetStream(t, "", nats.InProcessServer(srv))
	if _, err := js.AccountInfo(t.Context()); err != nil {
		t.Errorf("JetStream over an in-process connection: %v", err)
	}
	srv.Shutdown()
	if _, err := srv.InProcessConn(); err == nil {
		t.Error("a connection to a server that was shut down")
	}
}

func TestRefusesBadConfig(t *testing.T) {
	dir := t.TempDir()
	for name, cfg := range map[string]natsd.Config{
		"Dir":          {},
		"Listen":       {Dir: dir, Listen: "127.0.0.1"},
		"port":         {Dir: dir, Listen: "127.0.0.1:70000"},
		"SyncInterval": {Dir: dir, SyncInterval: -time.Second},
	} {
		if _, err := natsd.Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Start with a bad %s: %v; want an error that names it", name, err)
		}
	}
}

func TestRefusesDirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	first := start(t, natsd.Config{Dir: dir})
	_, err := natsd.Start(t.Context(), natsd.Config{Dir: dir})
	if !errors.Is(err, natsd.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second server on one directory: %v; want ErrLocked with the directory", err)
	}
	first.Shutdown()
	start(t, natsd.Config{Dir: dir})
}

func TestRefusesDirectoryThatIsAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := natsd.Start(t.Context(), natsd.Config{Dir: file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Start in a file: %v; want an error that names it", err)
	}
}

func TestRefusesTakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	begin := time.Now()
	dir := t.TempDir()
	_, err = natsd.Start(t.Context(), natsd.Config{Dir: dir, Listen: l.Addr().String()})
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("Start on a taken port: %v; want an error that names it", err)
	}
	if took := time.Since(begin); took > 20*time.Second { // a start is waited for half a minute
		t.Errorf("it took %v to say so", took)
	}
	start(t, natsd.Config{Dir: dir}) // and the directory is free again
}

func TestStartHonoursContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := natsd.Start(ctx, natsd.Config{Dir: t.TempDir()}); !errors.Is(err, context.Canceled) {
		t.Errorf("Start with an ended context: %v; want context.Canceled", err)
	}
}

func TestSaysWhatAnAcknowledgementIsWorth(t *testing.T) {
	strict := start(t, natsd.Config{Dir: t.TempDir()})
	relaxed := start(t, natsd.Config{Dir: t.TempDir(), SyncInterval: 3 * time.Second})
	if got := strict.Durability(); !strings.Contains(got, "every write is flushed") {
		t.Errorf("Durability by default: %q", got)
	}
	if got := relaxed.Durability(); !strings.Contains(got, "3s") || !strings.Contains(got, "loses") {
		t.Errorf("Durability with an interval: %q", got)
	}
}
