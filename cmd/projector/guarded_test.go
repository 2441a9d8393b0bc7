package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/cli"
	"rollcall/infra/loopback"
	"rollcall/infra/nats"
)

// guarded runs a NATS server from generated files, until the test ends.
func guarded(t *testing.T) nats.Config {
	t.Helper()
	cfg := nats.Config{
		Cluster: "default", Members: []string{"n1"}, Readers: []string{"projector", "p1"}, Projectors: []string{"p1"}, Dir: t.TempDir(), Store: t.TempDir(),
		Servers: []nats.Server{{Host: "127.0.0.1", Port: loopback.Ports(t, 1)[0]}},
	}
	if _, err := nats.Generate(cfg, time.Now()); err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(filepath.Join(cfg.Dir, nats.ServerFile(1)))
	if err != nil {
		t.Fatal(err)
	}
	opts.NoSigs, opts.NoLog = true, true
	ns, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	go ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	if !ns.ReadyForConnections(patience) {
		t.Fatal("the NATS server is not ready")
	}
	return cfg
}

// With users and TLS each command does what its user may: the provisioner makes the stream, a member speaks, the projector
// reads and no more.
func TestGuardedServer(t *testing.T) {
	cfg := guarded(t)
	as := func(key string, args ...string) []string {
		return append(args, "--nats", cfg.URL(), "--nats-ca", filepath.Join(cfg.Dir, nats.CAFile), "--nkey", filepath.Join(cfg.Dir, key))
	}
	projector := nats.ReaderKey("projector")
	if code, _, errs := command(t, as(projector, "provision")...); code != cli.ExitFailed || !strings.Contains(errs, "NATS permissions") {
		t.Errorf("a reader provisions: status %d, %s; want 1, permissions", code, errs)
	}
	if code, _, errs := command(t, as(nats.ProvisionerKey, "provision")...); code != cli.ExitOK {
		t.Fatalf("provision: status %d, %s", code, errs)
	}
	log, err := jslog.Connect(t.Context(), jslog.Config{
		URL: cfg.URL(), CAFile: filepath.Join(cfg.Dir, nats.CAFile), NKeyFile: filepath.Join(cfg.Dir, nats.MemberKey("n1")), Cluster: "default",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := log.Append(t.Context(), said(events.Joined, "n1", "n1"), 0); err != nil {
		t.Fatal(err)
	}
	r := start(t, as(projector, "run", "--data", t.TempDir(), "--http", "127.0.0.1:0")...)
	api := "http://" + r.logged("projector is up", "http")
	eventually(t, "ready", func() bool { code, _ := status(t, api+"/readyz"); return code == http.StatusOK })
	if code, body := status(t, api+"/v1/nodes?min_position=1"); code != http.StatusOK || !strings.Contains(body, `"id":"n1"`) {
		t.Errorf("/v1/nodes: %d %s", code, body)
	}
	if code, out, errs := command(t, as(projector, "verify")...); code != cli.ExitOK || !strings.Contains(out, "0 violations") {
		t.Errorf("verify: status %d, %s%s", code, out, errs)
	}
	if code, _, errs := command(t, "status", "--nats", cfg.URL(), "--nats-ca", filepath.Join(cfg.Dir, nats.CAFile)); code == cli.ExitOK {
		t.Errorf("status without a user: %s", errs)
	}
}

// Snapshots in NATS need no directory: another process of the same user goes on from what the first wrote.
func TestSnapshotsInNATSOfAGuardedServer(t *testing.T) {
	cfg := guarded(t)
	as := func(key string, args ...string) []string {
		return append(args, "--nats", cfg.URL(), "--nats-ca", filepath.Join(cfg.Dir, nats.CAFile), "--nkey", filepath.Join(cfg.Dir, key))
	}
	if code, out, errs := command(t, as(nats.ProvisionerKey, "provision", "--snapshots")...); code != cli.ExitOK ||
		!strings.Contains(out, "ROLLCALL_default_snapshots") {
		t.Fatalf("provision: status %d, %s%s", code, out, errs)
	}
	log, err := jslog.Connect(t.Context(), jslog.Config{
		URL: cfg.URL(), CAFile: filepath.Join(cfg.Dir, nats.CAFile), NKeyFile: filepath.Join(cfg.Dir, nats.MemberKey("n1")), Cluster: "default",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := log.Append(t.Context(), said(events.Joined, "n1", "n1"), 0); err != nil {
		t.Fatal(err)
	}
	run := as(nats.ReaderKey("p1"), "run", "--snapshots", "nats", "--http", "127.0.0.1:0")
	for _, began := range []string{"with nothing", "from the bucket"} {
		r := start(t, run...)
		api := "http://" + r.logged("projector is up", "http")
		if code, body := status(t, api+"/v1/nodes?min_position=1"); code != http.StatusOK || !strings.Contains(body, `"id":"n1"`) {
			t.Errorf("%s: /v1/nodes: %d %s", began, code, body)
		}
		if code := r.stop(); code != cli.ExitOK {
			t.Errorf("%s: exit status %d: %s", began, code, r.text())
		}
		if read := strings.Contains(r.text(), "snapshot read"); read != (began == "from the bucket") { // said after the views answer
			t.Errorf("%s: a snapshot was read: %v", began, read)
		}
	}
}
