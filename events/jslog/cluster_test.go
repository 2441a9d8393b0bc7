package jslog_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/events/logtest"
	"rollcall/infra/loopback"
)

// three runs a NATS cluster of three in this process and returns its URLs.
func three(t testing.TB, amend ...func(*server.Options)) string {
	t.Helper()
	return strings.Join(together(t, 3, amend...), ",")
}

// together runs a NATS cluster of n servers in this process and returns the URL of each.
func together(t testing.TB, n int, amend ...func(*server.Options)) []string {
	t.Helper()
	routes := loopback.Ports(t, n) // named before any of the servers listens
	var servers []*server.Server
	for i := range routes {
		opts := &server.Options{
			ServerName: fmt.Sprintf("s%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(),
			NoSigs: true, NoLog: true, Cluster: server.ClusterOpts{Name: "together", Host: "127.0.0.1", Port: routes[i]},
		}
		for j, port := range routes {
			if j != i {
				opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
			}
		}
		for _, change := range amend {
			change(opts)
		}
		servers = append(servers, run(t, opts))
	}
	eventually(t, "the servers elect a leader", func() bool {
		for _, s := range servers {
			if s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == len(servers) {
				return true
			}
		}
		return false
	})
	urls := make([]string, n)
	for i, s := range servers {
		urls[i] = s.ClientURL()
	}
	return urls
}

// run runs a server with opts until the test ends.
func run(t testing.TB, opts *server.Options) *server.Server {
	t.Helper()
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("server is not ready")
	}
	return s
}

// Replicas change who answers what: ids are looked at before expectations, and appends race on more than one server.
func TestLogOnThreeServers(t *testing.T) {
	urls := three(t)
	logtest.Run(t, func(t *testing.T, cluster string) events.Log {
		log := connect(t, jslog.Config{
			URL: urls, Cluster: cluster, Name: "logtest", Provision: true, Replicas: 3, AppendTimeout: 10 * time.Second,
			CatchUp: time.Second, // these servers stay
		})
		t.Cleanup(func() { deleteStream(t, urls, cluster) })
		return log
	})
}

// Three servers keep three copies unless somebody says otherwise, also when only one of them is named, or known.
func TestThreeServersKeepThreeCopies(t *testing.T) {
	urls := together(t, 3, func(opts *server.Options) { opts.Cluster.NoAdvertise = true })
	for name, url := range map[string]string{"all": strings.Join(urls, ","), "one": urls[0]} {
		for asked, want := range map[int]int{0: 3, 1: 1} {
			cluster := fmt.Sprintf("copies-%s-%d", name, asked)
			connect(t, jslog.Config{URL: url, Cluster: cluster, Name: "logtest", Provision: true, Replicas: asked})
			if got := copies(t, url, cluster); got != want {
				t.Errorf("%s named, %d asked for: %d copies, want %d", name, asked, got, want)
			}
		}
	}
}

// Two servers may be three of which one is still starting: they get one copy only if somebody says so.
func TestTwoServersAreAskedHowManyCopies(t *testing.T) {
	urls := together(t, 2)
	log := connect(t, jslog.Config{URL: urls[0], Cluster: "copies", Name: "logtest", Provision: true, Lazy: true})
	eventually(t, "the log says why there is none, and what to do", func() bool {
		err := log.Status().Err
		return err != nil && strings.Contains(err.Error(), "3 replicas") && strings.Contains(err.Error(), "ask for fewer replicas")
	})
	if log.Connected() {
		t.Error("the log is there with fewer copies than were asked for")
	}
	connect(t, jslog.Config{URL: urls[0], Cluster: "copies", Name: "logtest", Provision: true, Replicas: 1})
	if got := copies(t, urls[0], "copies"); got != 1 {
		t.Errorf("one asked for: %d copies", got)
	}
}

// copies is how many the stream of cluster has.
func copies(t *testing.T, url, cluster string) int {
	t.Helper()
	_, js := plain(t, url)
	stream, err := js.Stream(bounded(t), events.StreamName(cluster))
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().Config.Replicas
}

func deleteStream(t testing.TB, url, cluster string) {
	t.Helper()
	_, js := plain(t, url)
	if err := js.DeleteStream(bounded(t), events.StreamName(cluster)); err != nil {
		t.Errorf("delete the stream of cluster %s: %v", cluster, err)
	}
}
