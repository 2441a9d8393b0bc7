package nats_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/kvmirror"
	"rollcall/infra/nats"
	"rollcall/infra/natsapi"
	"rollcall/infra/snapbucket"
	"rollcall/projections/projector"
)

// snapshots is the bucket that projectors may keep snapshots in.
var snapshots = snapbucket.Name(cluster)

// A projector shows in NATS what follows from the log, readers and members read it, and nobody else can write it; nor does it
// open a way into the log (I3).
func TestProjectorOnThreeServers(t *testing.T) {
	s := start(t, 3, "n1", "n2")
	s.provision(t)
	s.provisionBuckets(t)
	conn := s.project(t)
	if _, err := s.member(t, "n1").Append(bounded(t), event(events.Joined, "n1", "n1"), 0); err != nil {
		t.Fatal(err)
	}
	t.Run("everybody is told what an acknowledgement is worth", s.askFlush)
	t.Run("readers read the mirror", s.readMirror)
	t.Run("readers ask the service", s.askService)
	t.Run("nobody else writes the buckets", s.spoil)
	t.Run("the service is no way into the log", s.deputize)
	t.Run("a pushing consumer is no way from one stream to another", s.divert)
	t.Run("projectors share objects", func(t *testing.T) { s.share(t, conn()) })
	if last := s.last(t); last != 1 {
		t.Errorf("the log ends at position %d, want 1: something besides what n1 said was stored", last)
	}
}

// provisionBuckets makes the buckets as the provisioner, which is nobody else's to do.
func (s *servers) provisionBuckets(t *testing.T) {
	t.Helper()
	for _, user := range []struct {
		key string
		may bool
	}{{nats.ReaderKey("projector"), false}, {nats.ProvisionerKey, true}} {
		conn, _ := s.plain(t, user.key)
		ctx := bounded(t)
		if !user.may {
			limited, cancel := context.WithTimeout(ctx, 500*time.Millisecond) // a denial is not answered
			defer cancel()
			ctx = limited
		}
		if err := kvmirror.Make(ctx, conn, cluster, 0); (err == nil) != user.may {
			t.Fatalf("%s makes the bucket of nodes: %v", user.key, err)
		}
		bucket, err := snapbucket.New(snapbucket.Config{Cluster: cluster, Conn: func() *natsgo.Conn { return conn }})
		if err != nil {
			t.Fatal(err)
		}
		if err := bucket.Make(ctx); (err == nil) != user.may {
			t.Fatalf("%s makes the bucket of snapshots: %v", user.key, err)
		}
	}
	conn, _ := s.plain(t, nats.ProvisionerKey)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"KV_" + kvmirror.Bucket(cluster), "OBJ_" + snapshots} {
		stream, err := js.Stream(bounded(t), name)
		if err != nil {
			t.Fatal(err)
		}
		if got := stream.CachedInfo().Config.Replicas; got != len(s.all) {
			t.Errorf("%s has %d copies on %d servers", name, got, len(s.all))
		}
	}
}

// project runs a projector, its mirror and its service, until the test ends.
func (s *servers) project(t *testing.T) (conn func() *natsgo.Conn) {
	t.Helper()
	reader, err := s.log(t, nats.ReaderKey("projector"), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := projector.Open(projector.Config{Log: reader, Cluster: cluster, HeartbeatEvery: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	mirror, err := kvmirror.New(kvmirror.Config{Projector: p, Conn: reader.Conn})
	if err != nil {
		t.Fatal(err)
	}
	service, err := natsapi.New(natsapi.Config{
		Projector: p, Conn: reader.Conn, Version: "v1.0.0",
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "answer of %s", r.URL.Path) }),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Errorf("projector: %v", err)
		}
	})
	running.Go(func() { mirror.Run(ctx) })
	running.Go(func() { service.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return reader.Conn
}

// mirrored is the bucket of nodes, as the user of key sees it.
func (s *servers) mirrored(t *testing.T, key string) jetstream.KeyValue {
	t.Helper()
	conn, _ := s.plain(t, key)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.KeyValue(bounded(t), kvmirror.Bucket(cluster))
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return bucket
}

// askFlush: all three servers are asked, through one of them.
func (s *servers) askFlush(t *testing.T) {
	for _, key := range []string{nats.ReaderKey("service"), nats.MemberKey("n2"), nats.ProvisionerKey} {
		var said record
		_, err := s.log(t, key, func(cfg *jslog.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&said, nil)) })
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, key+" is told", func() bool { return said.has("level=INFO", "log ready", "every write is flushed to disk") })
	}
}

func (s *servers) readMirror(t *testing.T) {
	for _, key := range []string{nats.ReaderKey("service"), nats.MemberKey("n2")} {
		bucket := s.mirrored(t, key)
		watcher, err := bucket.Watch(bounded(t), "n1")
		if err != nil {
			t.Fatalf("%s watches: %v", key, err)
		}
		for seen := false; !seen; {
			select {
			case entry := <-watcher.Updates():
				seen = entry != nil && strings.Contains(string(entry.Value()), `"state":"alive"`)
			case <-time.After(patience):
				t.Fatalf("%s sees nothing of n1", key)
			}
		}
		if err := watcher.Stop(); err != nil {
			t.Error(err)
		}
		eventually(t, key+" gets n1", func() bool { // a copy that lags may be asked
			entry, err := bucket.Get(bounded(t), "n1")
			return err == nil && strings.Contains(string(entry.Value()), `"id":"n1"`)
		})
	}
}

func (s *servers) askService(t *testing.T) {
	for _, key := range []string{nats.ReaderKey("service"), nats.MemberKey("n2")} {
		conn, _ := s.plain(t, key)
		for subject, want := range map[string]string{
			natsapi.Subject(cluster, "nodes"):     "answer of /v1/nodes",
			"$SRV.PING":                           `"name":"rollcall-c1"`,
			"$SRV.INFO." + natsapi.Name(cluster):  natsapi.Subject(cluster, "pick"),
			"$SRV.STATS." + natsapi.Name(cluster): `"num_requests"`,
		} {
			var said string
			ask := func() bool {
				reply, err := conn.Request(subject, nil, time.Second)
				if errors.Is(err, natsgo.ErrNoResponders) || errors.Is(err, natsgo.ErrTimeout) {
					return false // the service has yet to start
				}
				if err != nil {
					t.Fatalf("%s asks %s: %v", key, subject, err)
				}
				said = string(reply.Data)
				return true
			}
			eventually(t, "an answer at "+subject, ask)
			if !strings.Contains(said, want) {
				t.Errorf("%s asks %s: %s, want %s", key, subject, said, want)
			}
		}
	}
}

// spoil: what a projector shows is written by projectors.
func (s *servers) spoil(t *testing.T) {
	for _, key := range []string{nats.ReaderKey("service"), nats.MemberKey("n2"), nats.ProvisionerKey} {
		conn, denied := s.plain(t, key)
		for _, subject := range []string{
			"$KV." + kvmirror.Bucket(cluster) + ".n1", "$O." + snapshots + ".M.x", "$JS.API.STREAM.PURGE.OBJ_" + snapshots,
			"$JS.API.STREAM.PURGE.KV_" + kvmirror.Bucket(cluster), "$JS.API.STREAM.UPDATE.KV_" + kvmirror.Bucket(cluster),
		} {
			if err := conn.Publish(subject, []byte("{}")); err != nil {
				t.Fatal(err)
			}
			wantDenied(t, denied, key, fmt.Sprintf("Publish to %q", subject))
		}
		if key == nats.ProvisionerKey {
			continue
		}
		for _, subject := range []string{"svc.rollcall.c1.nodes", "$SRV.PING", "$KV.>", "$O.>"} {
			if _, err := conn.SubscribeSync(subject); err != nil {
				t.Fatal(err)
			}
			wantDenied(t, denied, key, fmt.Sprintf("Subscription to %q", subject))
		}
	}
}

// deputize: a request may say that its answer goes into the log. The projector may not write there, whoever asks.
func (s *servers) deputize(t *testing.T) {
	conn, _ := s.plain(t, nats.MemberKey("n2"))
	const forged = "rollcall.c1.node.n1.n1.left"
	if err := conn.PublishRequest(natsapi.Subject(cluster, "nodes"), forged, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the servers refuse the answer", func() bool {
		return s.said.has("Publish Violation", s.publicKey(t, nats.ReaderKey("projector")), forged)
	})
}

// divert: the server publishes what a consumer pushes, and asks nobody whether its maker may.
func (s *servers) divert(t *testing.T) {
	conn, _ := s.plain(t, nats.MemberKey("n2"))
	log, nodes := events.StreamName(cluster), "KV_"+kvmirror.Bucket(cluster)
	key := "$KV." + kvmirror.Bucket(cluster) + ".n2"
	for i, c := range []struct{ from, to string }{{nodes, "rollcall.c1.node.n1.n1.left"}, {log, key}} {
		name := fmt.Sprintf("diverted%d", i)
		request := fmt.Sprintf(`{"stream_name":%q,"config":{"name":%q,"deliver_subject":%q,"ack_policy":"none","deliver_policy":"all"}}`,
			c.from, name, c.to)
		if _, err := conn.Request("$JS.API.CONSUMER.CREATE."+c.from+"."+name, []byte(request), patience); err != nil {
			t.Fatal(err)
		}
		admin, _ := s.plain(t, nats.AdministratorKey)
		js, err := jetstream.New(admin)
		if err != nil {
			t.Fatal(err)
		}
		consumer, err := js.PushConsumer(bounded(t), c.from, name)
		if err != nil {
			t.Fatal(err)
		}
		if info := consumer.CachedInfo(); info.NumPending == 0 || info.Delivered.Consumer != 0 {
			t.Errorf("from %s to %s: %+v; want what is pending, and nothing pushed", c.from, c.to, info)
		}
	}
	if entry, err := s.mirrored(t, nats.MemberKey("n2")).Get(bounded(t), "n2"); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("the mirror holds n2, which nobody said to be there: %v, %v", entry, err)
	}
}

// share: what one projector puts into the bucket of snapshots, another finds, and takes away.
func (s *servers) share(t *testing.T, conn *natsgo.Conn) {
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	store, err := js.ObjectStore(bounded(t), snapshots)
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("snapshot"), 100_000) // several chunks
	if _, err := store.Put(bounded(t), jetstream.ObjectMeta{Name: "a"}, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the object is read", func() bool { // a copy that lags may be asked, and calls what it has of it all
		object, err := store.Get(bounded(t), "a")
		if err != nil {
			return false
		}
		got, err := io.ReadAll(object)
		return err == nil && bytes.Equal(got, content)
	})
	eventually(t, "the object is listed", func() bool {
		list, err := store.List(bounded(t))
		return err == nil && len(list) == 1
	})
	eventually(t, "the object is removed", func() bool {
		err := store.Delete(bounded(t), "a")
		return err == nil
	})
}
