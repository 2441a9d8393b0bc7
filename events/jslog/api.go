package jslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// Subjects of the JetStream API. The requests are made by hand where nats.go would choose otherwise: it reads single
// messages from any replica once a stream allows direct gets, and what an append is decided on must come from the leader.
const (
	apiAccountInfo    = "$JS.API.INFO" // nats.go asks before it makes a bucket
	apiStreamInfo     = "$JS.API.STREAM.INFO."
	apiStreamCreate   = "$JS.API.STREAM.CREATE."
	apiMessageGet     = "$JS.API.STREAM.MSG.GET."
	apiConsumerCreate = "$JS.API.CONSUMER.CREATE."
	apiConsumerNext   = "$JS.API.CONSUMER.MSG.NEXT."
	apiConsumerDelete = "$JS.API.CONSUMER.DELETE."
	apiDirectGet      = "$JS.API.DIRECT.GET."
	apiStreamPurge    = "$JS.API.STREAM.PURGE."
	flowControl       = "$JS.FC." // where who is pushed to answers
)

// lookTimeout bounds a look at the stream and the making of a consumer, which are tried again. Servers that have yet to
// agree on something answer such a request never rather than late.
const lookTimeout = 3 * time.Second

// Error codes of the server that mean something to us, beside those that package jetstream names.
const (
	codeNoPeers               jetstream.ErrorCode = 10005 // too few servers for the replicas
	codeNotClustered          jetstream.ErrorCode = 10074 // one server
	codeInsufficientResources jetstream.ErrorCode = 10023
	codeStorageExceeded       jetstream.ErrorCode = 10047
	codeStoreFailed           jetstream.ErrorCode = 10077 // stream limits with discard new, or the disk
	codeMemoryExceeded        jetstream.ErrorCode = 10028
	codeAccountStreamBytes    jetstream.ErrorCode = 10122
	codeIDInFlight            jetstream.ErrorCode = 10158 // another append with the id is not stored yet
	codeExpectedStream        jetstream.ErrorCode = 10060
)

// call makes a request of the JetStream API and reads the answer into resp. The server's own refusals are
// *jetstream.APIError; the others are those of link.request.
func (l *Log) call(ctx context.Context, k *link, subject string, req, resp any) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.AppendTimeout)
	defer cancel()
	var body []byte
	if req != nil {
		var err error
		if body, err = json.Marshal(req); err != nil {
			return fmt.Errorf("%s: %w", subject, err)
		}
	}
	reply, err := k.request(ctx, &nats.Msg{Subject: subject, Data: body})
	if err != nil {
		return err
	}
	var head struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &head); err != nil {
		return fmt.Errorf("%w: the answer to %s is not JSON: %w", events.ErrUnavailable, subject, err)
	}
	if head.Error != nil {
		return head.Error
	}
	if err := json.Unmarshal(reply.Data, resp); err != nil {
		return fmt.Errorf("%w: the answer to %s is not understood: %w", events.ErrUnavailable, subject, err)
	}
	return nil
}

// code returns the error code that the server gave; 0 when err is not its refusal.
func code(err error) jetstream.ErrorCode {
	var refusal *jetstream.APIError
	if errors.As(err, &refusal) {
		return refusal.ErrorCode
	}
	return 0
}

// streamInfo asks the stream's leader about the stream.
func (l *Log) streamInfo(ctx context.Context, k *link) (*jetstream.StreamInfo, error) {
	var info jetstream.StreamInfo
	if err := l.call(ctx, k, apiStreamInfo+l.stream, nil, &info); err != nil {
		return nil, err
	}
	return &info, nil
}

// messageGet asks for one message. Exactly one of: Sequence; Last; Next with Sequence or Since.
type messageGet struct {
	Sequence uint64     `json:"seq,omitempty"`
	Last     string     `json:"last_by_subj,omitempty"`
	Next     string     `json:"next_by_subj,omitempty"`
	Since    *time.Time `json:"start_time,omitempty"`
}

// message is one message as the stream holds it.
type message struct {
	Subject  string    `json:"subject"`
	Sequence uint64    `json:"seq"`
	Data     []byte    `json:"data"`
	Time     time.Time `json:"time"`
}

// get reads one message from the stream's leader. It fails with events.ErrNotFound when there is none.
func (l *Log) get(ctx context.Context, k *link, want messageGet) (message, error) {
	var resp struct {
		Message message `json:"message"`
	}
	err := l.call(ctx, k, apiMessageGet+l.stream, want, &resp)
	switch {
	case code(err) == jetstream.JSErrCodeMessageNotFound:
		return message{}, events.ErrNotFound
	case code(err) != 0:
		return message{}, fmt.Errorf("%w: %w", events.ErrUnavailable, err)
	}
	return resp.Message, err
}

// decode reads what was found in the stream. Nobody else has m.Data: nats.go copies it out of what the connection read.
func (m *message) decode(by *events.Decoder) (events.Recorded, error) {
	rec, err := by.Decode(m.Subject, m.Data)
	rec.Position, rec.Stored = m.Sequence, m.Time.UTC()
	if err != nil {
		return rec, &events.DecodeError{Position: m.Sequence, Stored: rec.Stored, Subject: m.Subject, Err: err}
	}
	return rec, nil
}
