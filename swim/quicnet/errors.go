package quicnet

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/quic-go/quic-go"

	"rollcall/swim/agent"
)

// Errors of [Transport.Exchange]; test with [errors.Is]. None of them changes anything here. Unless noted, a later try
// may succeed.
var (
	ErrClosed      = errors.New("quicnet: transport is closed")                                          // never again
	ErrTooLarge    = errors.New("quicnet: message exceeds its bound")                                    // not with this message
	ErrAddress     = errors.New("quicnet: no address to dial")                                           // not with this peer value
	ErrSelf        = fmt.Errorf("quicnet: %w", agent.ErrSelf)                                            // not while the address leads here
	ErrIDConflict  = errors.New("quicnet: another process has this member's id")                         // not before it is gone
	ErrIdentity    = errors.New("quicnet: the peer's certificate is not acceptable")                     // other CA, cluster or id; expired
	ErrRejected    = errors.New("quicnet: the peer does not accept this member's certificate")           // not before it is replaced
	ErrUnreachable = errors.New("quicnet: nothing listens at that address")                              // says the network
	ErrTimeout     = errors.New("quicnet: no answer in time")                                            //
	ErrFull        = errors.New("quicnet: every connection is busy; raise Limits.Connections")           //
	ErrLost        = errors.New("quicnet: connection ended before the answer")                           // the peer may have acted
	ErrRefused     = errors.New("quicnet: the peer refused the exchange")                                // its handler said no
	ErrBusy        = errors.New("quicnet: the peer answers too many exchanges at once")                  //
	ErrMalformed   = errors.New("quicnet: message is malformed, or of a version that is not understood") // the peer's, or ours to it
)

// Codes of a connection's end, as the peer sees them.
const (
	codeLeaving    quic.ApplicationErrorCode = 0 // this member shuts down: the only one that says something about it
	codeIdle       quic.ApplicationErrorCode = 1 // unused, or room was needed
	codeSuperseded quic.ApplicationErrorCode = 2 // another connection of the same pair took over
	codeExpired    quic.ApplicationErrorCode = 3 // the peer's certificate has ended
	codeDoubtful   quic.ApplicationErrorCode = 4 // reported unreachable and silent since
	codeFull       quic.ApplicationErrorCode = 5 // no room at all
)

// Codes of a stream's end.
const (
	streamRefused   quic.StreamErrorCode = 1
	streamMalformed quic.StreamErrorCode = 2
	streamBusy      quic.StreamErrorCode = 3
	streamTooLarge  quic.StreamErrorCode = 4
	streamGivenUp   quic.StreamErrorCode = 5
)

// errKilled ends a transport that says nothing to anybody.
var errKilled = fmt.Errorf("%w: killed", ErrClosed)

// errRefusedPort cancels a dial whose packets met a closed port.
var errRefusedPort = errors.New("port unreachable")

// dialError says in our words why a dial failed. verdict is what our own look at the peer's certificate said, if we got
// so far.
func dialError(err, verdict error) error {
	switch {
	case verdict != nil:
		return verdict
	case errors.Is(err, ErrClosed), errors.Is(err, quic.ErrTransportClosed):
		return ErrClosed
	case errors.Is(err, errRefusedPort):
		return ErrUnreachable
	case isTimeout(err):
		return ErrTimeout
	case isCertificateAlert(err):
		return fmt.Errorf("%w: %w", ErrRejected, err)
	default:
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
}

// exchangeError says in our words why a stream failed.
func exchangeError(err error) error {
	var stream *quic.StreamError
	switch {
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrMalformed), errors.Is(err, ErrClosed):
		return err
	case errors.As(err, &stream) && stream.Remote:
		switch stream.ErrorCode {
		case streamRefused:
			return ErrRefused
		case streamBusy:
			return ErrBusy
		case streamMalformed:
			return ErrMalformed
		case streamTooLarge:
			return ErrTooLarge
		default:
			return ErrTimeout // the peer gave up
		}
	case isCertificateAlert(err):
		return fmt.Errorf("%w: %w", ErrRejected, err)
	case isTimeout(err):
		return ErrTimeout
	default:
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// isCertificateAlert reports whether the peer ended the handshake because of what we showed.
func isCertificateAlert(err error) bool {
	var transport *quic.TransportError
	return errors.As(err, &transport) && transport.Remote && transport.ErrorCode.IsCryptoError()
}
