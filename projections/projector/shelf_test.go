package projector_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"

	"rollcall/projections/projector"
)

// shelf is a Store in memory, which calls opened, where set, each time before it opens something, and listing before it lists.
type shelf struct {
	mu      sync.Mutex
	held    map[string][]byte
	opened  func(held map[string][]byte)
	listing func(context.Context) error
}

func (s *shelf) String() string { return "shelf" }

func (s *shelf) List(ctx context.Context) (list []projector.Stored, err error) {
	if s.listing != nil {
		if err := s.listing(ctx); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, raw := range s.held {
		list = append(list, projector.Stored{Name: name, Bytes: int64(len(raw))})
	}
	return list, nil
}

// Open yields half of what is removed while it is read.
func (s *shelf) Open(_ context.Context, name string) (io.ReadCloser, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	raw, there := s.held[name]
	if !there {
		return nil, 0, fs.ErrNotExist
	}
	size := len(raw)
	if s.opened != nil {
		s.opened(s.held)
	}
	if _, there := s.held[name]; !there {
		raw = raw[:size/2]
	}
	return io.NopCloser(bytes.NewReader(raw)), int64(size), nil
}

func (s *shelf) Save(_ context.Context, name string, write func(io.Writer) error) error {
	var buf bytes.Buffer
	if err := write(&buf); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[name] = buf.Bytes()
	return nil
}

func (s *shelf) Remove(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, name)
	return nil
}

func (s *shelf) SetAside(_ context.Context, name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	raw, there := s.held[name]
	if !there {
		return "", fs.ErrNotExist
	}
	aside := name + projector.AsideSuffix
	s.held[aside] = raw
	delete(s.held, name)
	return aside, nil
}

// A start looks again where others replaced what it found before it could read it, and reads the log where that goes on.
func TestStartOutlivesWhoReplacesTheSnapshots(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2")
	store := &shelf{held: make(map[string][]byte)}
	var last uint64
	round := func() map[string][]byte {
		last = log.evidence(1)
		p := start(t, projector.Config{Log: log, Store: store})
		p.reach(last)
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
		return maps.Clone(store.held)
	}
	round()
	old := round()
	round()
	replaced := round()
	if len(old) != 2 || len(replaced) != 2 {
		t.Fatalf("%d and then %d are kept, want 2", len(old), len(replaced))
	}
	for name, tc := range map[string]struct {
		opened func(held map[string][]byte)
		folded uint64
	}{
		"once": {func(held map[string][]byte) {
			clear(held)
			maps.Copy(held, replaced)
		}, 0},
		"for ever": {func(held map[string][]byte) {
			for name, raw := range maps.Clone(held) {
				delete(held, name)
				held[strings.Replace(name, ".", "x.", 1)] = raw
			}
		}, last},
	} {
		t.Run(name, func(t *testing.T) {
			var said bytes.Buffer
			store := &shelf{held: maps.Clone(old), opened: tc.opened}
			p := start(t, projector.Config{Log: log, Store: store, Logger: slog.New(slog.NewTextHandler(&said, nil))})
			p.reach(last)
			if err := p.stop(); err != nil {
				t.Fatal(err)
			}
			if s := p.Status(); s.Folded != tc.folded {
				t.Errorf("%d events folded, want %d", s.Folded, tc.folded)
			}
			if text := said.String(); !strings.Contains(text, "gone") || strings.Contains(text, "put aside") {
				t.Errorf("said: %s", text)
			}
		})
	}
}

// A projector that is ended between writing a snapshot and removing what that replaces removes it all the same.
func TestWhatTheEndInterruptsIsRemoved(t *testing.T) {
	log := newTape(t)
	store := &shelf{held: make(map[string][]byte)}
	for _, node := range []string{"n1", "n2"} {
		last := log.joins(node)
		p := start(t, projector.Config{Log: log, Store: store})
		p.reach(last)
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
	}
	looks, looking := 0, make(chan struct{})
	store.listing = func(ctx context.Context) error {
		if looks++; looks != 3 { // two at the start; at the third Run ends
			return nil
		}
		close(looking)
		<-ctx.Done()
		return ctx.Err()
	}
	p := start(t, projector.Config{Log: log, Store: store, SnapshotEvery: 1})
	p.reach(log.joins("n3"))
	<-looking
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if len(store.held) != 2 {
		t.Errorf("%d are kept, want 2", len(store.held))
	}
}
