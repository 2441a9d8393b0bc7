package jslog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/handover"
)

// What a subscription holds of the stream beyond what its reader has taken: twice what a handover does, and of what was pulled at
// most prefetchMessages and, since at most two pulls are open at a time, twice prefetchBytes. A pull of fewer messages makes a
// replay slower.
const (
	prefetchMessages = 5000
	prefetchBytes    = 4 << 20
)

const (
	// pullExpiry renews an idle pull; pullHeartbeat × 2 is how long it goes unnoticed that a consumer vanished without a
	// word.
	pullExpiry    = 30 * time.Second
	pullHeartbeat = time.Second
	// consumerIdle is when the server forgets a consumer whose reader is gone, or has not taken an event for so long. The
	// latter only costs making another one.
	consumerIdle = time.Minute
	// consumerRandom is how many letters of 5 bits tell a consumer from the others of its stream. Every message bears its name.
	consumerRandom = 13
)

var (
	errEnough = errors.New("the reader has had enough")
	errGap    = fmt.Errorf("%w: a message on its way was lost", events.ErrUnavailable)
)

// Subscribe implements [events.Log]. Besides what the interface names, the sequence ends with events.ErrInvalid for a
// filter that no event can pass, with [ErrDrift], with events.ErrDenied when the server's permissions do not let it
// read, and with events.ErrUnavailable after Close. From.Now means the moment at which the log first answers.
func (l *Log) Subscribe(ctx context.Context, filter events.Filter, from events.From) iter.Seq2[events.Recorded, error] {
	return func(yield func(events.Recorded, error) bool) {
		subject, err := l.filterSubject(filter)
		if err != nil {
			yield(events.Recorded{}, fmt.Errorf("subscribe: %w", err))
			return
		}
		r := &reader{log: l, subject: subject, from: from, seen: from.Seen, until: from.Through}
		r.take = func(m message) error { return r.deliver(m, yield) }
		if err := r.run(ctx); err != nil {
			yield(events.Recorded{}, fmt.Errorf("subscribe: %w", err))
		}
	}
}

// run reads until ctx ends or the reader has had enough, which is no error, or until trying again is of no use.
func (r *reader) run(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		before := r.next
		err := r.read(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, errEnough):
			return nil
		case final(err):
			return err
		}
		r.log.cfg.Logger.Debug("subscription begins anew", "cluster", r.log.cfg.Cluster, "next", r.next, "error", err)
		if r.next != before {
			attempt = 1
		}
		if !rest(ctx, attempt) {
			return nil
		}
	}
}

// final reports whether trying again is of no use.
func final(err error) bool {
	for _, target := range []error{events.ErrIncomplete, events.ErrReplaced, events.ErrDenied, ErrDrift, errClosed} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// filterSubject is filter as a subject; empty for all there is.
func (l *Log) filterSubject(filter events.Filter) (string, error) {
	if filter == (events.Filter{}) {
		return "", nil
	}
	if filter.Kind != "" && !filter.Kind.Valid() {
		return "", fmt.Errorf("%w: filter for kind %.64q, which is not in the vocabulary", events.ErrInvalid, filter.Kind)
	}
	if filter.Node != "" && filter.Group != "" {
		return "", fmt.Errorf("%w: filter for node %.80q and group %.80q: no event is of both", events.ErrInvalid, filter.Node, filter.Group)
	}
	for _, id := range []string{filter.Node, filter.Group, filter.Author} {
		if id != "" && !events.ValidID(id) {
			return "", fmt.Errorf("%w: filter for %.80q, which is no id", events.ErrInvalid, id)
		}
	}
	return events.SubjectFilter(l.cfg.Cluster, filter), nil
}

// reader is one subscription's place in the log. It outlives the consumers that it reads through: each is made to start at
// next, whatever the one before had delivered or lost.
type reader struct {
	log      *Log
	take     func(message) error // what to do with the next message; it moves next on
	decoder  events.Decoder
	subject  string // filter; empty for all
	from     events.From
	identity string      // of the stream it began on; empty before it began
	next     uint64      // the position wanted next; never 0 once it began
	seen     events.Mark // the last event read, here or before; zero: none
	since    time.Time   // nothing stored before is wanted; zero once something passed
	until    uint64      // the last position wanted; 0 for whatever comes
	short    time.Time   // since when the stream was found to end too soon; zero: it was not, at the last look
}

// read finds its place and takes from there until something happens, which it returns.
func (r *reader) read(ctx context.Context) error {
	k, err := r.log.await(ctx)
	if err != nil {
		return err
	}
	look, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	info, err := r.log.compared(r.log.streamInfo(look, k))
	if err != nil {
		r.log.doubt(k, err)
		return err // also that the stream is not there: if another takes its place, that one is not it
	}
	if err := r.place(look, k, info); err != nil {
		return err
	}
	if r.until > 0 {
		if err := r.left(look, k, info); err != nil {
			return err
		}
	}
	r.short = time.Time{}
	return r.consume(ctx, k)
}

// place decides where to begin, or makes sure that the stream is still the one it began on and still reaches to next.
func (r *reader) place(ctx context.Context, k *link, info *jetstream.StreamInfo) error {
	if r.identity == "" {
		if err := r.begin(ctx, k, info); err != nil {
			return err
		}
		r.identity = identity(info)
	}
	first, last := max(1, info.State.FirstSeq), info.State.LastSeq
	reached := max(r.next-1, r.seen.Position, r.from.Through)
	switch {
	case identity(info) != r.identity:
		return fmt.Errorf("%w: stream %s was made at %s, the one before at %s",
			events.ErrReplaced, info.Config.Name, identity(info), r.identity)
	case reached > last:
		if r.behind(info) {
			return fmt.Errorf("%w: the leader has only %d events so far", events.ErrUnavailable, last)
		}
		return fmt.Errorf("%w: stream %s ends at position %d, and was read, or is wanted, up to %d", events.ErrReplaced, info.Config.Name, last, reached)
	case r.next < first:
		return fmt.Errorf("%w: the log starts at position %d, wanted %d", events.ErrIncomplete, first, r.next)
	case r.seen.Position >= first:
		return r.recognize(ctx, k)
	}
	return nil
}

// recognize makes sure that the stream still holds the event read last. One that was restored from an older copy is as old
// as the one that was lost; what came after the copy was made is not the same.
func (r *reader) recognize(ctx context.Context, k *link) error {
	m, err := r.log.get(ctx, k, messageGet{Sequence: r.seen.Position})
	switch {
	case errors.Is(err, events.ErrNotFound):
		return fmt.Errorf("%w: position %d, which was read, is missing", events.ErrIncomplete, r.seen.Position)
	case err != nil:
		return err
	case !m.Time.Equal(r.seen.Stored):
		return fmt.Errorf("%w: position %d was stored at %s, what was read there at %s: it was restored from an older copy, or made again",
			events.ErrReplaced, r.seen.Position, m.Time.UTC().Format(time.RFC3339Nano), r.seen.Stored.UTC().Format(time.RFC3339Nano))
	}
	return nil
}

// pass moves on behind m.
func (r *reader) pass(m message) {
	r.next = m.Sequence + 1
	if m.Sequence > r.seen.Position {
		r.seen = events.Mark{Position: m.Sequence, Stored: m.Time}
	}
}

// behind reports whether a stream that was found too short may be so because its leader has yet to catch up.
func (r *reader) behind(info *jetstream.StreamInfo) bool {
	if r.short.IsZero() {
		r.short = time.Now()
	}
	return info.Config.Replicas > 1 && time.Since(r.short) < r.log.cfg.CatchUp
}

// begin makes a position of what the subscription was asked to start from, and remembers the event before it as if it had been read:
// a reader that has read nothing yet knows the log by it.
func (r *reader) begin(ctx context.Context, k *link, info *jetstream.StreamInfo) error {
	switch {
	case r.from.Now:
		r.next = info.State.LastSeq + 1
	case !r.from.Time.IsZero():
		if err := r.beginAt(ctx, k, info); err != nil {
			return err
		}
	default:
		r.next = max(1, r.from.Position)
	}
	before := r.next - 1
	if r.seen.Position > 0 || before < max(1, info.State.FirstSeq) || before > info.State.LastSeq {
		return nil
	}
	m, err := r.log.get(ctx, k, messageGet{Sequence: before})
	switch {
	case errors.Is(err, events.ErrNotFound): // what was deleted is nothing to know the log by
		return nil
	case err != nil:
		return err
	}
	r.seen = events.Mark{Position: before, Stored: m.Time}
	return nil
}

func (r *reader) beginAt(ctx context.Context, k *link, info *jetstream.StreamInfo) error {
	state, at := info.State, r.from.Time.UTC()
	cut := at.Before(state.FirstTime)
	if state.Msgs == 0 {
		cut = !at.After(state.LastTime)
	}
	if state.FirstSeq > 1 && cut {
		return fmt.Errorf("%w: the log starts at %s, wanted %s", events.ErrIncomplete,
			state.FirstTime.UTC().Format(time.RFC3339Nano), at.Format(time.RFC3339Nano))
	}
	m, err := r.log.get(ctx, k, messageGet{Next: events.ClusterFilter(r.log.cfg.Cluster), Since: &at})
	switch {
	case errors.Is(err, events.ErrNotFound):
		r.next, r.since = state.LastSeq+1, at
	case err != nil:
		return err
	default:
		r.next = m.Sequence
	}
	return nil
}

// consume reads through a consumer of its own, which ends with it.
func (r *reader) consume(ctx context.Context, k *link) error {
	l := r.log
	name := "rollcall-" + rand.Text()[:consumerRandom]
	create := apiConsumerCreate + l.stream + "." + name
	if r.subject != "" {
		create += "." + r.subject
	}
	bound, release := k.bind(ctx, create)
	defer release()
	bound, releaseNext := k.bind(bound, apiConsumerNext+l.stream+"."+name)
	defer releaseNext()
	// Nobody waits for the answer: where this does not arrive, the server forgets the consumer after consumerIdle.
	defer func() { _ = k.nc.Publish(apiConsumerDelete+l.stream+"."+name, nil) }()
	consumer, err := r.consumer(bound, k, name)
	if err != nil {
		return failure(bound, err)
	}
	q := handover.New(func(msg *jetstream.Msg) int { return len((*msg).Data()) })
	defer context.AfterFunc(bound, func() { q.End(bound.Err()) })()
	flow, err := consumer.Consume(func(msg jetstream.Msg) { q.Put(msg) }, append(r.pulls(),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			q.End(err) // whatever it is, another consumer goes on from here
		}))...)
	if err != nil {
		return failure(bound, err)
	}
	defer flow.Stop()
	defer q.End(errEnough)
	delivered := uint64(0)
	list, err := q.Take(nil)
	for ; err == nil; list, err = q.Take(list) {
		for _, msg := range list {
			if err := bound.Err(); err != nil {
				return failure(bound, err)
			}
			delivered++
			if err := r.receive(msg, delivered); err != nil {
				return err
			}
		}
	}
	return failure(bound, err)
}

// receive takes the message that is the nth that the consumer delivered.
func (r *reader) receive(msg jetstream.Msg, nth uint64) error {
	meta, err := msg.Metadata()
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", events.ErrUnavailable, err)
	case meta.Sequence.Consumer != nth:
		return errGap
	}
	err = r.take(message{Subject: msg.Subject(), Sequence: meta.Sequence.Stream, Data: msg.Data(), Time: meta.Timestamp})
	if err != nil {
		return err
	}
	return r.ended(meta.NumPending)
}

// pulls says how the consumer is asked: for no more than is wanted.
func (r *reader) pulls() []jetstream.PullConsumeOpt {
	batch, opts := prefetchMessages, []jetstream.PullConsumeOpt{
		jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat),
	}
	if r.until > 0 {
		left := int(min(r.until-r.next+1, math.MaxInt)) // at least 1, see left
		batch, opts = min(batch, left), append(opts, jetstream.StopAfter(left))
	}
	return append(opts, jetstream.PullMaxMessagesWithBytesLimit(batch, prefetchBytes))
}

func (r *reader) consumer(ctx context.Context, k *link, name string) (jetstream.Consumer, error) {
	js, err := jetstream.New(k.nc)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return js.CreateConsumer(ctx, r.log.stream, jetstream.ConsumerConfig{
		Name:              name,
		Description:       "subscription of " + r.log.cfg.Name,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       r.next,
		FilterSubject:     r.subject,
		AckPolicy:         jetstream.AckNonePolicy,
		InactiveThreshold: consumerIdle,
		MemoryStorage:     true, // the place is ours to keep: a server need not write it down
		Replicas:          1,
	})
}

// deliver yields one message of the stream, unless it is none of the reader's.
func (r *reader) deliver(m message, yield func(events.Recorded, error) bool) error {
	if r.subject == "" && m.Sequence != r.next {
		return fmt.Errorf("%w: positions %d to %d are missing", events.ErrIncomplete, r.next, m.Sequence-1)
	}
	if r.until > 0 && m.Sequence > r.until {
		return errEnough
	}
	r.pass(m)
	if m.Time.Before(r.since) {
		return nil
	}
	r.since = time.Time{}
	if !yield(m.decode(&r.decoder)) {
		return errEnough
	}
	return nil
}
