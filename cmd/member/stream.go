package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	streamSilenceMax = 30 * time.Second // the server says something every 10 s
	streamPauseMin   = 250 * time.Millisecond
	streamPauseMax   = 10 * time.Second

	frameMax = 8 << 20 // bytes of one line of a stream, above what an event can have
)

// follow calls each for every event from position from on that passes the filter in query, in order and each once, and
// goes on across lost connections and restarts of the projector, which it reports to progress. It returns nil when ctx
// ends, each's error, why the first connection could not be made, or that the log no longer reaches back to what comes
// next, or is another one.
func (c *client) follow(ctx context.Context, progress io.Writer, from uint64, query url.Values, each func(event) error) error {
	opened, lost, pause := false, false, streamPauseMin
	asked := maps.Clone(query)
	if asked == nil {
		asked = url.Values{}
	}
	connected := func(log string) {
		setUnlessEmpty(asked, "log", log)
		if lost {
			fmt.Fprintf(progress, "connected again, going on at position %d\n", from)
		}
		opened, lost, pause = true, false, streamPauseMin
	}
	for {
		err := c.stream(ctx, from, asked, connected, func(e event) error {
			from = e.Position + 1
			return each(e)
		})
		own, refused := new(eachError), new(refusedError)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &own):
			return own.err
		case !opened:
			return c.inTime(ctx, err)
		case errors.As(err, &refused) && slices.Contains([]string{"history-incomplete", "log-replaced"}, refused.problem.name()):
			return err
		case !lost:
			fmt.Fprintf(progress, "%v; trying again\n", err)
		}
		lost = true
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, streamPauseMax)
	}
}

// errLost says that an open stream broke off; errSilent, that it was given up.
var (
	errLost   = errors.New("the event stream broke off")
	errSilent = fmt.Errorf("nothing came for %v, not even a sign of life", streamSilenceMax)
)

// eachError is an error of the caller's function, in contrast to the stream's.
type eachError struct{ err error }

func (e *eachError) Error() string { return e.err.Error() }

// stream is one connection of follow.
func (c *client) stream(
	ctx context.Context, from uint64, query url.Values, connected func(log string), each func(event) error,
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	header := http.Header{"Accept": {"text/event-stream"}, "Last-Event-Id": {strconv.FormatUint(from-1, 10)}}
	response, err := c.open(ctx, query, header, "v1", "events", "stream")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	connected(response.Header.Get("Rollcall-Log"))
	silence := time.AfterFunc(streamSilenceMax, func() { cancel(errSilent) })
	defer silence.Stop()

	var name, data string
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, frameMax)
	for lines.Scan() {
		silence.Reset(streamSilenceMax)
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case field == "event":
			name = value
		case field == "data":
			data += value
		case lines.Text() == "" && data != "":
			if err := deliver(name, data, each); err != nil {
				return err
			}
			name, data = "", ""
		}
	}
	switch err := lines.Err(); {
	case err == nil:
		return errLost
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", errLost, context.Cause(ctx))
	default:
		return fmt.Errorf("%w: %w", errLost, err)
	}
}

func deliver(name, data string, each func(event) error) error {
	if name == "end" {
		var p problem
		if err := json.Unmarshal([]byte(data), &p); err != nil {
			return fmt.Errorf("%w: %w", errLost, err)
		}
		return &refusedError{p}
	}
	e := event{raw: []byte(data)}
	if err := json.Unmarshal(e.raw, &e); err != nil {
		return &eachError{fmt.Errorf("an event of the stream is not as expected: %w: %s", err, data)}
	}
	if err := each(e); err != nil {
		return &eachError{err}
	}
	return nil
}

// now is the position that the projector's views have reached.
func (c *client) now(ctx context.Context) (uint64, error) {
	var live struct{ Position uint64 }
	_, err := c.get(ctx, &live, nil, "livez")
	return live.Position, err
}
