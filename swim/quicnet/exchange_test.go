package quicnet

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"rollcall/swim"
)

func TestExchangeCarriesLargeStates(t *testing.T) {
	c := newCluster(t, "test")
	a, b := c.member("a"), c.member("b")
	state := make([]byte, swim.StateMax) // the windows are 64 KiB: it needs many
	for i := range state {
		state[i] = byte(i * i >> 8)
	}
	for _, size := range []int{0, 1, firstRead + 1, 1 << 20, swim.StateMax} {
		from, reply, err := a.Exchange(t.Context(), b.peer(), state[:size])
		if err != nil || from != "b" || !bytes.Equal(reply, state[:size]) {
			t.Errorf("%d bytes: %d came back from %q, %v", size, len(reply), from, err)
		}
	}
}

func TestExchangeBounds(t *testing.T) {
	c := newCluster(t, "test")
	a, b := c.member("a"), c.member("b")
	if _, _, err := a.Exchange(t.Context(), b.peer(), make([]byte, swim.StateMax+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("request over the bound: %v", err)
	}
	b.answer(func(context.Context, swim.ID, []byte) ([]byte, error) { return make([]byte, swim.StateMax+1), nil })
	if _, _, err := a.Exchange(t.Context(), b.peer(), nil); !errors.Is(err, ErrRefused) {
		t.Errorf("reply over the bound: %v", err)
	}
	for name, to := range map[string]swim.Peer{
		"no address": {ID: "b"},
		"no port":    {ID: "b", Addr: netip.MustParseAddrPort("127.0.0.1:0")},
		"bad id":     {ID: "not an id", Addr: b.LocalAddr()},
	} {
		if _, _, err := a.Exchange(t.Context(), to, nil); !errors.Is(err, ErrAddress) {
			t.Errorf("%s: %v, want ErrAddress", name, err)
		}
	}
}

func TestExchangeRefusedByTheHandler(t *testing.T) {
	c := newCluster(t, "test")
	a, b := c.member("a"), c.member("b")
	b.answer(func(context.Context, swim.ID, []byte) ([]byte, error) { return nil, errors.New("not today") })
	if _, _, err := a.Exchange(t.Context(), b.peer(), []byte("state")); !errors.Is(err, ErrRefused) {
		t.Errorf("%v, want ErrRefused", err)
	}
	b.answer(nil)
	a.ask(b.peer(), "the connection is still good")
}

// TestExchangesAnsweredAtOnceAreBounded: I15.
func TestExchangesAnsweredAtOnceAreBounded(t *testing.T) {
	c := newCluster(t, "test")
	a, b := c.member("a"), c.member("b", func(config *Config) { config.Limits.Exchanges = 2 })
	entered, leave := make(chan struct{}, 8), make(chan struct{})
	b.answer(func(context.Context, swim.ID, []byte) ([]byte, error) {
		entered <- struct{}{}
		<-leave
		return nil, nil
	})
	var asked sync.WaitGroup
	for range 2 {
		asked.Go(func() {
			if _, _, err := a.Exchange(t.Context(), b.peer(), nil); err != nil {
				t.Error(err)
			}
		})
		<-entered
	}
	if _, _, err := a.Exchange(t.Context(), b.peer(), nil); !errors.Is(err, ErrBusy) {
		t.Errorf("third exchange: %v, want ErrBusy", err)
	}
	close(leave)
	asked.Wait()
}

func TestExchangeEndsWithItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		a, b := w.member(c, "a", 1), w.member(c, "b", 2)
		ended := make(chan error, 1)
		b.answer(func(ctx context.Context, _ swim.ID, _ []byte) ([]byte, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, _, err := a.Exchange(ctx, b.peer(), nil); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		<-ended
		begin := time.Now()
		if _, _, err := a.Exchange(t.Context(), b.peer(), nil); !errors.Is(err, ErrTimeout) || time.Since(begin) != 10*time.Second {
			t.Errorf("after %v: %v, want ErrTimeout after 10 s", time.Since(begin), err)
		}
		<-ended
	})
}

func TestExchangeWithNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		a, b := w.member(c, "a", 1), w.member(c, "b", 2)
		begin := time.Now()
		nobody := swim.Peer{Addr: netip.MustParseAddrPort("10.0.0.9:7946")}
		if _, _, err := a.Exchange(t.Context(), nobody, nil); !errors.Is(err, ErrUnreachable) || time.Since(begin) > time.Second {
			t.Errorf("closed port: %v after %v, want ErrUnreachable at once", err, time.Since(begin))
		}
		w.lose(func(_, to netip.AddrPort, _ []byte) bool { return to == b.LocalAddr() })
		begin = time.Now()
		if _, _, err := a.Exchange(t.Context(), b.peer(), nil); !errors.Is(err, ErrTimeout) || time.Since(begin) != handshakeMax {
			t.Errorf("silence: %v after %v, want ErrTimeout after %v", err, time.Since(begin), handshakeMax)
		}
		w.lose(nil)
		a.ask(b.peer(), "Exchange does not spare the address")
		if n := a.notices(); len(n) != 0 {
			t.Errorf("told %v: a dial to whoever answers says nothing about a member", n)
		}
	})
}

// TestMalformedStreamsAreCounted: a member that is let in and speaks nonsense.
func TestMalformedStreamsAreCounted(t *testing.T) {
	c := newCluster(t, "test")
	a, b := c.member("a"), c.member("b")
	a.ask(b.peer(), "hello")
	a.Transport.mu.Lock()
	conn := a.peers["b"].link.conn
	a.Transport.mu.Unlock()
	for i, c := range []struct {
		stream []byte
		code   quic.StreamErrorCode
	}{
		{[]byte{9, 0, 0, 0, 0}, streamMalformed},                  // version
		{[]byte{1, 0, 0}, streamMalformed},                        // ends in the header
		{[]byte{1, 0, 0, 0, 5, 'f', 'o'}, streamMalformed},        // ends in the payload
		{[]byte{1, 0, 0, 0, 1, 'f', 'o', 'o'}, streamMalformed},   // goes on after the payload
		{[]byte{1, 0xff, 0xff, 0xff, 0xff, 1, 2}, streamTooLarge}, // announces 4 GiB
		{[]byte{1, 0, 0x40, 0, 1, 1, 2}, streamTooLarge},          // announces one byte too many
	} {
		stream, err := conn.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Write(c.stream); err != nil {
			t.Fatal(err)
		}
		_ = stream.Close() // may be refused already
		_, err = io.ReadAll(stream)
		var refusal *quic.StreamError
		if !errors.As(err, &refusal) || !refusal.Remote || refusal.ErrorCode != c.code {
			t.Errorf("%v: answered with %v, want code %d", c.stream, err, c.code)
		}
		if got := b.Stats().DroppedMalformed; got != uint64(i+1) {
			t.Errorf("%v: %d counted, want %d", c.stream, got, i+1)
		}
	}
	a.ask(b.peer(), "the connection is still good")
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 2, 'o', 'k'})
	f.Add([]byte{1, 0, 0, 0, 0})
	f.Add([]byte{2, 0, 0, 0, 0})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, stream []byte) {
		payload, err := readFrame(bytes.NewReader(stream))
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLarge) {
				t.Fatalf("error is none of ours: %v", err)
			}
			return
		}
		again := binary.BigEndian.AppendUint32([]byte{exchangeVersion}, uint32(len(payload)))
		if !bytes.Equal(append(again, payload...), stream) {
			t.Fatalf("%x was read as %x", stream, payload)
		}
	})
}
