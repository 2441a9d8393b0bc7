package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"rollcall/events"
	"rollcall/projections/projector"
)

// problem is an error as RFC 9457 writes it. Its type is a name that never changes; title and detail are for people.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`

	First      uint64 `json:"first,omitempty"` // history-incomplete: the first position that is there
	retryAfter bool
}

const problemPrefix = "urn:rollcall:problem:"

func (p *problem) Error() string { return p.Title + ": " + p.Detail }

func problemf(status int, name, title, format string, args ...any) *problem {
	return &problem{Type: problemPrefix + name, Title: title, Status: status, Detail: fmt.Sprintf(format, args...)}
}

// again marks a problem that passes by itself.
func (p *problem) again() *problem {
	p.retryAfter = true
	return p
}

func badParam(name, format string, args ...any) *problem {
	return problemf(http.StatusBadRequest, "bad-parameter", "A query parameter cannot be read",
		"%s: %s", name, fmt.Sprintf(format, args...))
}

func noNode(id string) *problem {
	return problemf(http.StatusNotFound, "no-such-node", "The log does not name this node",
		"no event up to this position is about node %q; /v1/nodes lists those it names", id)
}

// problemOf says what any error means to a client.
func (a *api) problemOf(ctx context.Context, err error) *problem {
	var p *problem
	switch {
	case errors.As(err, &p):
		return p
	case controlProblem(err) != nil:
		return controlProblem(err)
	case errors.Is(err, events.ErrIncomplete):
		p = problemf(http.StatusGone, "history-incomplete", "The log no longer reaches back that far", "%v", err)
		if info, ierr := a.p.Log().Info(ctx); ierr == nil {
			p.First = info.First
			p.Detail += fmt.Sprintf("; the first position that is there is %d", info.First)
		}
		return p
	case errors.Is(err, projector.ErrFuture):
		return problemf(http.StatusBadRequest, "in-the-future", "That instant is not reached yet",
			"%v; leave it out for what is known now", err)
	case errors.Is(err, projector.ErrTooFar):
		return problemf(http.StatusBadRequest, "too-far", "That instant is too far from any snapshot",
			"%v; ask for a later one", err)
	case errors.Is(err, projector.ErrStopped), errors.Is(err, projector.ErrSlow), errors.Is(err, events.ErrReplaced):
		return problemf(http.StatusServiceUnavailable, "stopped", "The views are not kept up to date",
			"%v; see /v1/projections", err)
	case errors.Is(err, events.ErrUnavailable):
		return problemf(http.StatusServiceUnavailable, "log-unavailable", "The log does not answer",
			"%v; what needs no log is still served: leave at= and from= out, or try again", err).again()
	case errors.Is(err, context.DeadlineExceeded):
		return problemf(http.StatusServiceUnavailable, "timeout", "It took too long", "%v; try again", err).again()
	default:
		return problemf(http.StatusInternalServerError, "internal", "Something went wrong here",
			"the server's log has the reason; try again, and report it if it stays")
	}
}

// fail answers with err as a problem.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody is there to read it
	}
	p := a.problemOf(r.Context(), err)
	if p.Status >= http.StatusInternalServerError && p.Status != http.StatusServiceUnavailable {
		a.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	body, merr := json.Marshal(p)
	if merr != nil {
		panic(fmt.Sprintf("httpapi: problem does not marshal: %v", merr)) // it holds strings and numbers
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.retryAfter {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // a client that is gone needs no answer
}
