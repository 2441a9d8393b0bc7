package natsd_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/nats"
	"rollcall/infra/natsd"
)

// What others can reach takes TLS and users, and the error says which flags are missing.
func TestRefusesAddressesOthersCanReach(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:4222", ":4222", "[::]:4222", "192.0.2.1:4222", "example.org:4222"} {
		for missing, access := range map[string]natsd.Access{
			"give --nats-cert --nats-key --nats-users (": {},
			"give --nats-cert --nats-key (":              {UsersFile: "users.conf"},
			"give --nats-users (":                        {CertFile: "c.pem", KeyFile: "k.pem"},
		} {
			_, err := natsd.Start(t.Context(), natsd.Config{Dir: t.TempDir(), Listen: listen, Access: access})
			if !errors.Is(err, natsd.ErrNotLoopback) || !strings.Contains(err.Error(), missing) {
				t.Errorf("Start on %s with %+v: %v; want ErrNotLoopback that says %s", listen, access, err, missing)
			}
		}
		if err := (natsd.Access{CertFile: "c.pem", KeyFile: "k.pem", UsersFile: "users.conf"}).Check(listen); err != nil {
			t.Errorf("%s with everything: %v", listen, err)
		}
	}
	if err := (natsd.Access{KeyFile: "k.pem"}).Check("127.0.0.1:0"); !errors.Is(err, natsd.ErrAccess) {
		t.Errorf("a key without a certificate: %v; want ErrAccess", err)
	}
}

// generated writes what an embedded server on loopback and its users need.
func generated(t *testing.T) (nats.Config, natsd.Access) {
	t.Helper()
	cfg := nats.Config{
		Cluster: "c1", Members: []string{"n1", "n2"}, Readers: []string{"service"}, Dir: t.TempDir(), Store: "/data",
		Servers: []nats.Server{{Host: "127.0.0.1"}},
	}
	if _, err := nats.Generate(cfg, time.Now()); err != nil {
		t.Fatal(err)
	}
	return cfg, natsd.Access{
		CertFile:  filepath.Join(cfg.Dir, "tls", "rollcall-1.pem"),
		KeyFile:   filepath.Join(cfg.Dir, "tls", "rollcall-1-key.pem"),
		UsersFile: filepath.Join(cfg.Dir, "users.conf"),
	}
}

// I3: on the embedded server too a member speaks as itself and as nobody else, and who is no user does not come in.
func TestUsersSpeakAsThemselves(t *testing.T) {
	files, access := generated(t)
	dir := t.TempDir()
	srv := start(t, natsd.Config{Dir: dir, Listen: "127.0.0.1:0", Access: access})
	own, err := jslog.Connect(t.Context(), jslog.Config{InProcess: srv, Cluster: "c1", Provision: true})
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	ca := filepath.Join(files.Dir, nats.CAFile)
	connect := func(key string) *jslog.Log {
		log, err := jslog.Connect(t.Context(), jslog.Config{
			URL: srv.URL(), Cluster: "c1", CAFile: ca, NKeyFile: filepath.Join(files.Dir, key),
		})
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		t.Cleanup(log.Close)
		return log
	}
	joined := func(node string) events.Event {
		return events.Event{
			ID: events.NewID(), Kind: events.Joined, Cluster: "c1", Node: node, Author: node, Incarnation: 1, Time: time.Now(),
			Address: "127.0.0.1:7946",
		}
	}
	n1, service := connect(nats.MemberKey("n1")), connect(nats.ReaderKey("service"))
	if position, err := n1.Append(t.Context(), joined("n1"), 0); err != nil || position != 1 {
		t.Errorf("n1 joins: position %d, %v", position, err)
	}
	for name, log := range map[string]*jslog.Log{"n1": n1, "a reader": service} {
		if _, err := log.Append(t.Context(), joined("n2"), 0); !errors.Is(err, events.ErrDenied) {
			t.Errorf("%s speaks as n2: %v; want ErrDenied", name, err)
		}
	}
	if rec, err := service.Last(t.Context(), "n1"); err != nil || rec.Kind != events.Joined {
		t.Errorf("a reader reads about n1: %v, %v", rec.Kind, err)
	}
	if info, err := own.Info(t.Context()); err != nil || info.Last != 1 {
		t.Errorf("the log ends at %d, %v; want 1", info.Last, err)
	}
	wantStrangersOutside(t, srv, ca)

	// The log is the directory's, with users or without.
	srv.Shutdown()
	open, err := jslog.Connect(t.Context(), jslog.Config{InProcess: start(t, natsd.Config{Dir: dir}), Cluster: "c1"})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if info, err := open.Info(t.Context()); err != nil || info.Last != 1 {
		t.Errorf("without users the log ends at %d, %v; want 1", info.Last, err)
	}
}

func wantStrangersOutside(t *testing.T, srv *natsd.Server, ca string) {
	t.Helper()
	public, sign := srv.InProcessUser()
	for name, opts := range map[string][]natsgo.Option{
		"without a key":                      {natsgo.RootCAs(ca)},
		"that trusts another authority":      nil,
		"with this process's key, from afar": {natsgo.RootCAs(ca), natsgo.Nkey(public, sign)},
	} {
		if nc, err := natsgo.Connect(srv.URL(), opts...); err == nil {
			nc.Close()
			t.Errorf("a client %s is let in", name)
		}
	}
}

// I3: a file whose users could do more than it says is refused. To the server a list that is missing is every subject.
func TestRefusesUsersWithoutBounds(t *testing.T) {
	const bounded = `permissions { publish { allow: ["a"] }, subscribe { allow: ["_INBOX.>"] } }`
	key := func() string {
		pair, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		public, err := pair.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		return public
	}
	user := func(permissions string) string { return "{ nkey: " + key() + ", " + permissions + " }" }
	authorization := func(permissions string) string {
		return "authorization { users: [" + user(bounded) + ", " + user(permissions) + "] }"
	}
	for name, c := range map[string]struct{ conf, says string }{
		"no permissions":                   {authorization(""), "may do everything"},
		"nothing about publishing":         {authorization(`permissions { subscribe { allow: ["a"] } }`), "may publish anything"},
		"only what may not be published":   {authorization(`permissions { publish { deny: ["a"] }, subscribe { allow: ["a"] } }`), "may publish anything"},
		"every subject may be published":   {authorization(`permissions { publish { allow: [">"] }, subscribe { allow: ["a"] } }`), "may publish anything"},
		"nothing about subscribing":        {authorization(`permissions { publish { allow: ["a"] } }`), "may read anything"},
		"users of two accounts":            {"accounts { A { users: [" + user(bounded) + "] }, B { users: [" + user(bounded) + "] } }", "2 accounts"},
		"users of an account and of none":  {authorization(bounded) + "\naccounts { A { users: [" + user(bounded) + "] } }", "2 accounts"},
		"everything that has two tokens":   {authorization(`permissions { publish { allow: ["a", "*.>"] }, subscribe { allow: ["a"] } }`), "may publish anything"},
		"every event of every cluster":     {authorization(`permissions { publish { allow: ["*.*.*.*.*.*"] }, subscribe { allow: ["a"] } }`), "may publish anything"},
		"reading everything with a dot":    {authorization(`permissions { publish { allow: ["a"] }, subscribe { allow: ["*.>"] } }`), "may read anything"},
		"the log of a cluster":             {authorization(`permissions { publish { allow: ["rollcall.c1.>"] }, subscribe { allow: ["a"] } }`), "may speak as anybody: rollcall.c1.>"},
		"whatever is about a node":         {authorization(`permissions { publish { allow: ["rollcall.c1.node.n1.>"] }, subscribe { allow: ["a"] } }`), "may speak as anybody"},
		"accusing as anybody":              {authorization(`permissions { publish { allow: ["rollcall.*.node.*.*.suspected"] }, subscribe { allow: ["a"] } }`), "may speak as anybody"},
		"planning as anybody":              {authorization(`permissions { publish { allow: ["rollcall.c1.group.g.*.planned"] }, subscribe { allow: ["a"] } }`), "may speak as anybody"},
		"answering wherever one is asked":  {authorization(`permissions { publish { allow: ["a"] }, subscribe { allow: ["a"] }, allow_responses: true }`), "allow_responses"},
		"an empty list of what to publish": {authorization(`permissions { publish { allow: [] }, subscribe { allow: ["a"] } }`), "may publish anything"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "users.conf")
			if err := os.WriteFile(file, []byte(c.conf), 0o600); err != nil {
				t.Fatal(err)
			}
			srv, err := natsd.Start(t.Context(), natsd.Config{
				Dir: t.TempDir(), Listen: "127.0.0.1:0", Access: natsd.Access{UsersFile: file},
			})
			if err == nil {
				srv.Shutdown()
			}
			if !errors.Is(err, natsd.ErrUsers) || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("Start with these users: %v; want ErrUsers that says %q", err, c.says)
			}
		})
	}
}
