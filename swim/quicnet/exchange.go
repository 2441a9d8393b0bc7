package quicnet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/quic-go/quic-go"

	"rollcall/swim"
)

// A state exchange is one bidirectional stream: a frame each way, then the end of that direction. A frame is a version
// byte, the payload's length as 4 bytes big endian, and the payload.
const (
	exchangeVersion = 1
	frameHeader     = 5
	firstRead       = 64 << 10 // bytes set aside before any of the announced payload has come
)

// Exchange sends request to a peer and waits for its answer; see [agent.Transport]. ctx and Limits.Exchange bound it,
// the handshake included. It dials even when the address is being spared for Send. If the connection turns out to have
// ended while nobody used it, it dials anew and asks once more, so a peer may see one request twice. The error is one of
// this package's, or ctx's when it was cancelled.
func (t *Transport) Exchange(ctx context.Context, to swim.Peer, request []byte) (swim.ID, []byte, error) {
	if len(request) > swim.StateMax {
		return "", nil, fmt.Errorf("%w: request of %d bytes, at most %d", ErrTooLarge, len(request), swim.StateMax)
	}
	to.Addr = unmap(to.Addr)
	if to.ID == t.config.ID || t.isOwn(to.Addr) {
		return "", nil, fmt.Errorf("%w: %v", ErrSelf, to.Addr)
	}
	if !t.dialable(to) {
		return "", nil, fmt.Errorf("%w: id %q, address %v", ErrAddress, to.ID, to.Addr)
	}
	ctx, cancel := context.WithTimeout(ctx, t.config.Limits.Exchange)
	defer cancel()
	for attempt := 1; ; attempt++ {
		l, reused, err := t.connect(ctx, to)
		if err != nil {
			return "", nil, fmt.Errorf("exchange with %v: %w", to.Addr, err)
		}
		reply, err := l.ask(ctx, request)
		if err == nil {
			t.stats.exchanges.Add(1)
			return l.id, reply, nil
		}
		err = t.because(ctx, exchangeError(err))
		if attempt == 1 && reused && errors.Is(err, ErrLost) {
			// The link must not be found again. Its own goroutine may not have come round to it yet.
			select {
			case <-l.conn.Context().Done():
				t.ended(l)
				continue
			case <-ctx.Done():
			}
		}
		return "", nil, fmt.Errorf("exchange with %s at %v: %w", l.id, to.Addr, err)
	}
}

// because prefers the reason that the caller knows, or that we do, over its consequence.
func (t *Transport) because(ctx context.Context, err error) error {
	switch {
	case t.closing.Load():
		return ErrClosed
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case ctx.Err() != nil:
		return ErrTimeout
	default:
		return err
	}
}

// connect returns a link to the peer with an exchange booked on it, dialled if need be, and whether it was there before.
func (t *Transport) connect(ctx context.Context, to swim.Peer) (l *link, reused bool, err error) {
	for {
		t.mu.Lock()
		if t.closing.Load() {
			t.mu.Unlock()
			return nil, false, ErrClosed
		}
		l, d := t.wayLocked(to)
		switch {
		case l != nil:
			l.exchanges.Add(1)
		case d != nil:
			d.waiting++
		}
		t.mu.Unlock()
		switch {
		case l != nil:
			return l, true, nil
		case d == nil:
			return nil, false, ErrFull
		}
		select {
		case <-d.done:
		case <-ctx.Done():
			t.unbook(d)
			return nil, false, t.because(ctx, ErrTimeout)
		}
		if d.err == nil {
			return d.link, false, nil
		}
		if d.to.Addr == to.Addr || ctx.Err() != nil {
			return nil, false, t.because(ctx, d.err)
		} // somebody dialled the same peer elsewhere, and failed
	}
}

// unbook takes back one exchange that waited for d.
func (t *Transport) unbook(d *dial) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d.link != nil {
		d.link.exchanges.Add(-1)
	} else {
		d.waiting--
	}
}

// wayLocked finds an open link to the peer, or a dial to wait for. Both are nil when there is no room.
func (t *Transport) wayLocked(to swim.Peer) (*link, *dial) {
	if to.ID == "" {
		for l := range t.links {
			if l.addr == to.Addr && l.demoted == 0 && l.doubt.Load() == 0 && l.open() {
				return l, nil
			}
		}
		if d := t.unnamed[to.Addr]; d != nil {
			return nil, d
		}
		return nil, t.startDialLocked(nil, to)
	}
	p := t.peerLocked(to.ID)
	defer t.forgetLocked(p)
	if p.link != nil && p.link.open() && p.link.doubt.Load() == 0 && !t.elsewhereLocked(p, to.Addr) {
		return p.link, nil
	}
	if p.dial == nil {
		return nil, t.startDialLocked(p, to)
	}
	return nil, p.dial
}

// ask runs our side of an exchange, which is booked.
func (l *link) ask(ctx context.Context, request []byte) (reply []byte, err error) {
	defer l.exchanges.Add(-1)
	stream, err := l.conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	giveUp := context.AfterFunc(ctx, func() { abort(stream, streamGivenUp) })
	defer giveUp()
	if err := writeFrame(stream, request); err != nil {
		abort(stream, streamGivenUp)
		return nil, writeOrRead(stream, err)
	}
	l.touch()
	if reply, err = readFrame(stream); err != nil {
		abort(stream, streamGivenUp)
		return nil, err
	}
	l.hear()
	return reply, nil
}

// writeOrRead finds the peer's reason when a write failed: a peer that refuses early stops our writing and its own answer
// with the same code, and either may come first.
func writeOrRead(stream *quic.Stream, err error) error {
	var coded *quic.StreamError
	if errors.As(err, &coded) && coded.Remote {
		return err
	}
	if _, late := stream.Read(make([]byte, 1)); errors.As(late, &coded) && coded.Remote {
		return late
	}
	return err
}

// answer serves the peer's exchanges until the connection ends. QUIC bounds how many there are.
func (l *link) answer() {
	if !l.awaitServe() {
		return
	}
	for {
		stream, err := l.conn.AcceptStream(context.Background())
		if err != nil {
			return // the connection is over
		}
		l.t.wg.Go(func() { l.answerOne(stream) }) // wg is not zero here: this goroutine counts
	}
}

// answerOne runs the peer's side of an exchange.
func (l *link) answerOne(stream *quic.Stream) {
	l.exchanges.Add(1)
	defer l.exchanges.Add(-1)
	select {
	case l.t.serving <- struct{}{}:
		defer func() { <-l.t.serving }()
	default:
		abort(stream, streamBusy)
		return
	}
	deadline := time.Now().Add(l.t.config.Limits.Exchange)
	_ = stream.SetDeadline(deadline)
	request, err := readFrame(stream)
	switch {
	case errors.Is(err, ErrTooLarge):
		l.t.stats.malformed.Add(1)
		abort(stream, streamTooLarge)
		return
	case errors.Is(err, ErrMalformed):
		l.t.stats.malformed.Add(1)
		abort(stream, streamMalformed)
		return
	case err != nil:
		abort(stream, streamGivenUp)
		return
	}
	l.hear()
	ctx, cancel := context.WithDeadline(stream.Context(), deadline) // ends with the stream, so with the connection too
	defer cancel()
	if l.t.closing.Load() {
		return
	}
	reply, err := l.t.handler.HandleExchange(ctx, l.id, l.addr, request)
	if err == nil && len(reply) > swim.StateMax {
		err = fmt.Errorf("%w: reply of %d bytes, at most %d", ErrTooLarge, len(reply), swim.StateMax)
	}
	if err != nil {
		l.t.logger.Debug("exchange refused", "peer", l.id, "error", err)
		abort(stream, streamRefused)
		return
	}
	if err := writeFrame(stream, reply); err != nil {
		abort(stream, streamGivenUp)
		return
	}
	l.touch()
	l.t.stats.exchanges.Add(1)
}

func abort(stream *quic.Stream, code quic.StreamErrorCode) {
	stream.CancelRead(code)
	stream.CancelWrite(code)
}

// writeFrame writes one frame and ends the direction.
func writeFrame(stream *quic.Stream, payload []byte) error {
	var header [frameHeader]byte
	header[0] = exchangeVersion
	binary.BigEndian.PutUint32(header[1:], uint32(len(payload)))
	if _, err := stream.Write(header[:]); err != nil {
		return err
	}
	if _, err := stream.Write(payload); err != nil {
		return err
	}
	return stream.Close()
}

// readFrame reads one frame and the end after it. It sets memory aside as the payload comes, not as it is announced. The
// error is [ErrTooLarge], [ErrMalformed] or the stream's.
func readFrame(from io.Reader) ([]byte, error) {
	var header [frameHeader]byte
	if _, err := io.ReadFull(from, header[:]); err != nil {
		return nil, cutShort(err)
	}
	if header[0] != exchangeVersion {
		return nil, fmt.Errorf("%w: version %d instead of %d", ErrMalformed, header[0], exchangeVersion)
	}
	n := binary.BigEndian.Uint32(header[1:])
	if n > swim.StateMax {
		return nil, fmt.Errorf("%w: %d bytes announced, at most %d", ErrTooLarge, n, swim.StateMax)
	}
	payload := make([]byte, min(n, firstRead))
	for read := 0; ; {
		if _, err := io.ReadFull(from, payload[read:]); err != nil {
			return nil, cutShort(err)
		}
		if read = len(payload); read == int(n) {
			break
		}
		payload = append(payload, make([]byte, min(int(n)-read, read))...)
	}
	switch extra, err := io.ReadFull(from, header[:1]); {
	case extra > 0:
		return nil, fmt.Errorf("%w: more than the %d bytes announced", ErrMalformed, n)
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	return payload, nil
}

// cutShort tells an end in the middle of a frame from a broken stream.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends too early", ErrMalformed)
	}
	return err
}
