package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cloudevents/sdk-go/v2/binding/format"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// witness is a subscriber of somebody else's: it knows NATS, the name of the stream and CloudEvents, and no code of ours.
type witness struct {
	mu    sync.Mutex
	seen  []testimony
	wrong []error // what could not be read as a CloudEvent
}

// testimony is one message of the stream.
type testimony struct {
	sequence uint64
	event    event.Event
	data     struct {
		Cluster, Node, Author string
		Incarnation           uint64
		Evidence              json.RawMessage
	}
}

// observe subscribes to the stream from its beginning, until the test ends.
func observe(t *testing.T, url, cluster string) *witness {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() { nc.Close(); <-closed })
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	consumer, err := js.OrderedConsumer(ctx, "ROLLCALL_"+cluster, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{}
	consuming, err := consumer.Consume(w.take)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { consuming.Stop(); <-consuming.Closed() })
	return w
}

func (w *witness) take(msg jetstream.Msg) {
	meta, err := msg.Metadata()
	if err != nil {
		w.fail(err)
		return
	}
	said := testimony{sequence: meta.Sequence.Stream}
	if err := said.decode(msg); err != nil {
		w.fail(fmt.Errorf("sequence %d: %w: %s", said.sequence, err, msg.Data()))
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, said)
}

// decode reads the message as the SDK does: the content type says how.
func (s *testimony) decode(msg jetstream.Msg) error {
	contentType := msg.Headers().Get("Content-Type")
	if err := format.Unmarshal(contentType, msg.Data(), &s.event); err != nil {
		return fmt.Errorf("content type %q: %w", contentType, err)
	}
	if err := s.event.Validate(); err != nil {
		return err
	}
	if err := s.event.DataAs(&s.data); err != nil {
		return err
	}
	want := fmt.Sprintf("rollcall.%s.node.%s.%s.%s", s.data.Cluster, s.data.Node, s.data.Author, s.kind())
	if msg.Subject() != want {
		return fmt.Errorf("its subject is %s, its body says %s", msg.Subject(), want)
	}
	if id := msg.Headers().Get("Nats-Msg-Id"); id != s.event.ID() {
		return fmt.Errorf("the message id is %q, the event's %q", id, s.event.ID())
	}
	return nil
}

func (s *testimony) kind() string {
	return strings.TrimSuffix(strings.TrimPrefix(s.event.Type(), "rollcall.node."), ".v1")
}

func (w *witness) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, err)
}

func (w *witness) unreadable() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wrong[:len(w.wrong):len(w.wrong)]
}

// all returns what was seen so far.
func (w *witness) all() []testimony {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[:len(w.seen):len(w.seen)]
}

// count is how often kind was said of node at incarnation; 0 for any.
func (w *witness) count(kind, node string, incarnation uint64) int {
	n := 0
	for _, s := range w.all() {
		if s.kind() == kind && s.event.Subject() == node && (incarnation == 0 || s.data.Incarnation == incarnation) {
			n++
		}
	}
	return n
}

// reached reports whether the witness has seen everything up to position.
func (w *witness) reached(position uint64) error {
	all := w.all()
	if len(all) > 0 && all[len(all)-1].sequence >= position {
		return nil
	}
	return fmt.Errorf("%d messages seen, the log is at %d; unreadable: %v", len(all), position, w.unreadable())
}

// check fails the test unless every message up to position was a CloudEvent, came once and in order (I10), under an id of
// its own (I2).
func (w *witness) check(t *testing.T, position uint64) {
	t.Helper()
	eventually(t, "the witness reads to the end", func() error { return w.reached(position) })
	for _, err := range w.unreadable() {
		t.Errorf("not a CloudEvent as promised: %v", err)
	}
	ids := make(map[string]uint64)
	for i, s := range w.all() {
		if s.sequence != uint64(i)+1 {
			t.Fatalf("message %d has sequence %d: want each once, in order (I10)", i+1, s.sequence)
		}
		if first, twice := ids[s.event.ID()]; twice {
			t.Errorf("id %s is at %d and at %d (I2)", s.event.ID(), first, s.sequence)
		}
		ids[s.event.ID()] = s.sequence
		if s.event.SpecVersion() != "1.0" || s.event.Source() != "/rollcall/"+s.data.Cluster+"/"+s.data.Author ||
			s.event.Time().IsZero() || s.event.DataContentType() != "application/json" {
			t.Errorf("attributes at %d: %v", s.sequence, s.event)
		}
	}
}
