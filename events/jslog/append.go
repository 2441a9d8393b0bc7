package jslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// triesMax is how often an append is sent that certainly was not stored, for a reason that passes by itself; all of them
// take less than half a second. One that nobody takes is sent for as long as it has time after that, if the stream is there:
// a server learns who leads it moments after it was made, and an election takes seconds.
const triesMax = 4

// errInFlight is a refusal because of another append, about the node or with the id, that is not stored yet, and may not come
// to be. Three servers also answer so for a moment after they acknowledged the one before.
var errInFlight = fmt.Errorf("%w: and it is in flight", events.ErrConflict)

// Append implements [events.Log]. AppendTimeout bounds it, and a lost connection ends it at once. It fails with
// events.ErrInvalid, before anything is sent, when ev cannot be encoded or belongs to another cluster.
func (l *Log) Append(ctx context.Context, ev events.Event, expect uint64) (uint64, error) {
	body, err := events.Encode(ev)
	if err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	if ev.Cluster != l.cfg.Cluster {
		return 0, fmt.Errorf("append: %w: of cluster %s to the log of %s", events.ErrInvalid, ev.Cluster, l.cfg.Cluster)
	}
	k, err := l.ready()
	if err != nil {
		return 0, fmt.Errorf("append %s: %w", ev.ID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.AppendTimeout)
	defer cancel()
	for try := 1; ; try++ {
		position, err := l.publish(ctx, k, ev, body, expect)
		if err == nil {
			return position, nil
		}
		untaken := errors.Is(err, nats.ErrNoResponders)
		passing := untaken && (try != triesMax || !l.gone(ctx, k)) || errors.Is(err, errInFlight) && try < triesMax
		if !passing || !rest(ctx, min(try, triesMax)) {
			l.doubt(k, err)
			return 0, fmt.Errorf("append %s: %w", ev.ID, err)
		}
	}
}

// gone reports whether the server says that there is no stream.
func (l *Log) gone(ctx context.Context, k *link) bool {
	_, err := l.streamInfo(ctx, k)
	return code(err) == jetstream.JSErrCodeStreamNotFound
}

// ack is what the server answers to a publish.
type ack struct {
	Error     *jetstream.APIError `json:"error"`
	Sequence  uint64              `json:"seq"`
	Duplicate bool                `json:"duplicate"`
}

// publish sends ev and makes of the answer what events.Log promises.
func (l *Log) publish(ctx context.Context, k *link, ev events.Event, body []byte, expect uint64) (uint64, error) {
	reply, err := k.request(ctx, &nats.Msg{Subject: events.Subject(ev), Data: body, Header: nats.Header{
		"Content-Type":                          {events.ContentType},
		jetstream.MsgIDHeader:                   {ev.ID},
		jetstream.ExpectedStreamHeader:          {l.stream},
		jetstream.ExpectedLastSubjSeqHeader:     {strconv.FormatUint(expect, 10)},
		jetstream.ExpectedLastSubjSeqSubjHeader: {events.Expectation(ev)},
	}})
	if err != nil {
		return 0, err
	}
	var answer ack
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return 0, fmt.Errorf("%w: the acknowledgement is not understood: %w", events.ErrUnavailable, err)
	}
	switch {
	case answer.Error != nil && conflicting(answer.Error):
		return 0, l.conflict(ctx, k, ev, expect, answer.Error)
	case answer.Error != nil:
		return 0, refused(answer.Error)
	case answer.Duplicate:
		return 0, l.duplicate(ctx, k, ev, answer.Sequence)
	case answer.Sequence == 0:
		return 0, fmt.Errorf("%w: the acknowledgement names no position", events.ErrUnavailable)
	default:
		return answer.Sequence, nil
	}
}

func conflicting(err *jetstream.APIError) bool {
	return err.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || inFlight(err)
}

// inFlight reports whether a refusal is because of what is in flight.
func inFlight(err *jetstream.APIError) bool {
	return err.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant || err.ErrorCode == codeIDInFlight
}

// conflict tells a retry of what is stored already from an event that another came before. One server compares the
// expectation before it looks at the id, and answers both the same way. But an event stored under expect is by that very
// expectation the first about its node, or of its group, after it, so one read tells.
func (l *Log) conflict(ctx context.Context, k *link, ev events.Event, expect uint64, refusal *jetstream.APIError) error {
	next, err := l.get(ctx, k, messageGet{Sequence: expect + 1, Next: events.Expectation(ev)})
	switch {
	case err == nil && next.holds(ev):
		return &events.DuplicateError{Position: next.Sequence}
	case errors.Is(err, events.ErrNotFound) && inFlight(refusal):
		return fmt.Errorf("%w: %w", errInFlight, refusal)
	}
	return fmt.Errorf("%w: expected position %d: %w", events.ErrConflict, expect, refusal)
}

// duplicate looks at what is stored under ev's id: ids are remembered for the whole stream, whoever used them first.
func (l *Log) duplicate(ctx context.Context, k *link, ev events.Event, position uint64) error {
	stored, err := l.get(ctx, k, messageGet{Sequence: position})
	switch {
	case errors.Is(err, events.ErrNotFound):
		return fmt.Errorf("%w: the server calls it a duplicate of position %d, which is not there", events.ErrUnavailable, position)
	case err != nil:
		return err
	case !stored.holds(ev):
		return fmt.Errorf("%w: %s", &events.TakenError{Position: position}, stored.Subject)
	default:
		return &events.DuplicateError{Position: position}
	}
}

// holds reports whether m is ev: the subject is the server's word for who spoke about whom.
func (m message) holds(ev events.Event) bool {
	rec, err := m.decode(nil)
	return err == nil && m.Subject == events.Subject(ev) && rec.ID == ev.ID
}

// refused says what another refusal of the server means.
func refused(err *jetstream.APIError) error {
	switch err.ErrorCode {
	case codeStoreFailed, codeInsufficientResources, codeStorageExceeded, codeMemoryExceeded, codeAccountStreamBytes:
		return fmt.Errorf("%w: %w", events.ErrFull, err)
	case jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return fmt.Errorf("%w: %w", events.ErrInvalid, err)
	default:
		return fmt.Errorf("%w: %w", events.ErrUnavailable, err)
	}
}
