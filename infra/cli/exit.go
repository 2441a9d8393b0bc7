package cli

import (
	"context"
	"errors"
	"fmt"

	"rollcall/events"
)

// Exit statuses of every command.
const (
	ExitOK       = 0
	ExitFailed   = 1 // anything that has no status of its own
	ExitUsage    = 2 // the command line, the environment or the file asks for something that does not exist
	ExitNotFound = 3 // what was asked for is not on the roll
	ExitStale    = 4 // there is an answer, but it is older or shorter than what was asked for
	ExitTimeout  = 5 // no answer within --timeout
)

// What an error means to the caller of the process; each is one exit status. Match them with errors.Is.
var (
	ErrUsage    = errors.New("usage")
	ErrNotFound = errors.New("not found")
	ErrStale    = errors.New("stale or incomplete")
	ErrTimeout  = errors.New("timed out")
)

// Errorf is fmt.Errorf whose result also matches meaning, one of the sentinels above. The text is the format's alone.
func Errorf(meaning error, format string, args ...any) error {
	return &meant{meaning: meaning, err: fmt.Errorf(format, args...)}
}

type meant struct{ meaning, err error }

func (m *meant) Error() string        { return m.err.Error() }
func (m *meant) Unwrap() error        { return m.err }
func (m *meant) Is(target error) bool { return target == m.meaning }

// ExitCode is the exit status for err. Where an error matches several sentinels the smaller status wins.
func ExitCode(err error) int {
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, ErrUsage):
		return ExitUsage
	case errors.Is(err, ErrNotFound), errors.Is(err, events.ErrNotFound):
		return ExitNotFound
	case errors.Is(err, ErrStale), errors.Is(err, events.ErrIncomplete):
		return ExitStale
	case errors.Is(err, ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return ExitTimeout
	default:
		return ExitFailed
	}
}
