package nats_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/nats"
)

func TestParseServer(t *testing.T) {
	for text, want := range map[string]nats.Server{
		"nats-1":              {Host: "nats-1"},
		"nats-1.example:4223": {Host: "nats-1.example", Port: 4223},
		"10.0.0.1:4223:6223":  {Host: "10.0.0.1", Port: 4223, RoutePort: 6223},
		"[2001:db8::1]":       {Host: "2001:db8::1"},
		"[2001:db8::1]:4223":  {Host: "2001:db8::1", Port: 4223},
	} {
		if got, err := nats.ParseServer(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", ":4222", "a:b", "a:0", "a:70000", "a:1:2:3", "a\"b", "[nats-1]:1", "[::1", "a b"} {
		if got, err := nats.ParseServer(text); !errors.Is(err, nats.ErrConfig) {
			t.Errorf("%q: %+v, %v; want ErrConfig", text, got, err)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for what, change := range map[string]func(*nats.Config){
		"cluster":                 func(c *nats.Config) { c.Cluster = "a.b" },
		"no members":              func(c *nats.Config) { c.Members = nil },
		"member \"a.b\"":          func(c *nats.Config) { c.Members = []string{"a.b"} },
		"n1 is named twice":       func(c *nats.Config) { c.Members = []string{"n1", "n1"} },
		"director n9":             func(c *nats.Config) { c.Directors = []string{"n9"} },
		"projector p9":            func(c *nats.Config) { c.Projectors = []string{"p9"} },
		"reader \"*\"":            func(c *nats.Config) { c.Readers = []string{"*"} },
		"2 servers":               func(c *nats.Config) { c.Servers = append(c.Servers, nats.Server{Host: "b"}) },
		"h:4222 is named twice":   func(c *nats.Config) { c.Servers = append(c.Servers, c.Servers[0], c.Servers[0]) },
		"server \"a b\"":          func(c *nats.Config) { c.Servers[0].Host = "a b" },
		"directory to write to":   func(c *nats.Config) { c.Dir = "" },
		"store \"data\": want th": func(c *nats.Config) { c.Store = "data" },
	} {
		cfg := nats.Config{
			Cluster: cluster, Members: []string{"n1"}, Servers: []nats.Server{{Host: "h"}}, Dir: t.TempDir(), Store: "/data",
		}
		change(&cfg)
		if _, err := nats.Generate(cfg, time.Now()); !errors.Is(err, nats.ErrConfig) || !strings.Contains(err.Error(), what) {
			t.Errorf("%v; want ErrConfig that says %s", err, what)
		}
	}
}

// A second run keeps who everybody is, and takes in the new: what a member was given stays good.
func TestSecondRun(t *testing.T) {
	cfg := nats.Config{
		Cluster: cluster, Members: []string{"n1"}, Readers: []string{"projector"},
		Servers: []nats.Server{{Host: "10.0.0.1"}}, Dir: filepath.Join(t.TempDir(), "nats"), Path: "/etc/nats", Store: "/data",
	}
	written, err := nats.Generate(cfg, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	secret := 0
	for _, file := range written {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		private := strings.HasSuffix(file, ".nk") || strings.HasSuffix(file, "-key.pem")
		if mode := info.Mode().Perm(); private != (mode == 0o600) {
			t.Errorf("%s has mode %v", file, mode)
		}
		if private {
			secret++
		}
	}
	if secret != 7 { // n1, projector, provisioner, administrator, system; authority and server
		t.Errorf("%d secrets in %v, want 7", secret, written)
	}
	kept := []string{nats.CAFile, nats.MemberKey("n1"), nats.AdministratorKey}
	before := make(map[string]string)
	for _, name := range kept {
		before[name] = read(t, filepath.Join(cfg.Dir, name))
	}
	cfg.Members = append(cfg.Members, "n2")
	if written, err = nats.Generate(cfg, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, name := range kept {
		if read(t, filepath.Join(cfg.Dir, name)) != before[name] {
			t.Errorf("%s is another after the second run", name)
		}
	}
	var names []string
	for _, file := range written {
		names = append(names, filepath.Base(file))
	}
	if got, want := strings.Join(names, " "), "member-n2.nk rollcall-1.pem rollcall-1-key.pem users.conf rollcall-1.conf"; got != want {
		t.Errorf("the second run writes %s, want %s", got, want)
	}
	conf := read(t, filepath.Join(cfg.Dir, nats.ServerFile(1)))
	for _, want := range []string{`cert_file: "/etc/nats/tls/rollcall-1.pem"`, `store_dir: "/data/rollcall-1"`, `listen: "10.0.0.1:4222"`, "sync_interval: always"} {
		if !strings.Contains(conf, want) {
			t.Errorf("the configuration has no %s:\n%s", want, conf)
		}
	}
	if strings.Contains(conf, "cluster {") {
		t.Error("one server has routes")
	}
}

// What was lost or broken is not covered up with something new.
func TestDamagedDirectory(t *testing.T) {
	for what, damage := range map[string]func(t *testing.T, dir string){
		"is no seed": func(t *testing.T, dir string) { spoil(t, filepath.Join(dir, nats.MemberKey("n1"))) },
		"ca.pem":     func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "tls", "ca-key.pem")) },
		"authority":  func(t *testing.T, dir string) { spoil(t, filepath.Join(dir, nats.CAFile)) },
	} {
		cfg := nats.Config{
			Cluster: cluster, Members: []string{"n1"}, Servers: []nats.Server{{Host: "h"}}, Dir: t.TempDir(), Store: "/data",
		}
		if _, err := nats.Generate(cfg, time.Now()); err != nil {
			t.Fatal(err)
		}
		damage(t, cfg.Dir)
		if _, err := nats.Generate(cfg, time.Now()); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v; want an error that says %s", err, what)
		}
	}
}

func spoil(t *testing.T, file string) {
	t.Helper()
	if err := os.WriteFile(file, []byte("spoilt\n"), fs.ModePerm); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

// One server is a configuration too: users and TLS, and no copies.
func TestOneServer(t *testing.T) {
	s := start(t, 1, "n1")
	s.provision(t)
	if position, err := s.member(t, "n1").Append(bounded(t), event(events.Joined, "n1", "n1"), 0); err != nil || position != 1 {
		t.Errorf("append: position %d, %v", position, err)
	}
	begin := time.Now()
	if _, err := s.log(t, nats.MemberKey("n1"), func(c *jslog.Config) { c.Inbox = jslog.InboxShared }); !errors.Is(err, events.ErrDenied) || !strings.Contains(err.Error(), "Inbox") {
		t.Errorf("a member that listens where everybody may: %v; want ErrDenied that names Inbox", err)
	}
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("it is told after %v, want an answer at once, not after its time-out", took)
	}
	if _, err := s.log(t, "keys/nobody.nk", nil); err == nil || !strings.Contains(err.Error(), "nobody.nk") {
		t.Errorf("a seed that is not there: %v; want an error that names the file", err)
	}
}
