package httpapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"rollcall/events"
	"rollcall/infra/httpserver"
	"rollcall/projections"
	"rollcall/projections/projector"
)

// servicesView is a view with a name and without a state: what can be called is read off the registry.
const servicesView = "services"

// control does to the views what the path says. All views are folded together and stand at one position, so what is done
// to one of them is done to all.
func (a *api) control(w http.ResponseWriter, r *http.Request) error {
	if err := sameSite(r); err != nil {
		return err
	}
	name, action := r.PathValue("name"), r.PathValue("action")
	if name != servicesView && !slices.ContainsFunc(projections.Versions(), func(v projections.Version) bool { return v.Name == name }) {
		return problemf(http.StatusNotFound, "no-such-projection", "There is no such projection",
			"%.40q is not one of those that /v1/projections lists", name)
	}
	switch action {
	case "pause":
		a.p.Pause()
	case "resume":
		a.p.Resume()
	case "rebuild":
		if err := a.p.Rebuild(); err != nil {
			return err
		}
	case "retry", "skip":
		node, err := nodeInBody(r)
		if err == nil && action == "retry" {
			ctx, cancel := context.WithTimeout(r.Context(), logReadMax)
			defer cancel()
			err = a.p.Retry(ctx, node)
		} else if err == nil {
			err = a.p.Skip(node)
		}
		if err != nil {
			return err
		}
	default:
		return problemf(http.StatusNotFound, "no-such-action", "There is no such action",
			"%.40q is none of rebuild, pause, resume, retry, skip", action)
	}
	a.log.Info("projections", "action", action)
	return a.projections(w, r)
}

// nodeInBody reads {"node":"n3"}.
func nodeInBody(r *http.Request) (string, error) {
	var body struct {
		Node string `json:"node"`
	}
	if err := readBody(r, &body, `{"node":"n3"}, a node that /v1/projections lists as parked`); err != nil {
		return "", err
	}
	if !events.ValidID(body.Node) {
		return "", badBody("%.80q is not an id: 1 to %d of A-Z a-z 0-9 _ -", body.Node, events.IDMax)
	}
	return body.Node, nil
}

// readBody reads one JSON object that has no other fields than value. want is an example.
func readBody(r *http.Request, value any, want string) error {
	err := httpserver.ReadObject(r, value)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return problemf(http.StatusRequestEntityTooLarge, "body-too-large", "The body is too large",
			"at most %d bytes are read", large.Limit)
	case err != nil:
		return badBody("%v; want %s", err, want)
	}
	return nil
}

func badBody(format string, args ...any) error {
	return problemf(http.StatusBadRequest, "bad-body", "The body cannot be read", format, args...)
}

// controlProblem says what an error of the projector's control means to a client; nil for any other error.
func controlProblem(err error) *problem {
	switch {
	case errors.Is(err, projections.ErrNotParked):
		return problemf(http.StatusConflict, "not-parked", "The node is not parked",
			"%v; /v1/projections lists those that are", err)
	case errors.Is(err, projector.ErrUnreadable):
		return problemf(http.StatusConflict, "unreadable", "The event cannot be read still",
			"%v; skip it, or start a version that can read it", strings.ReplaceAll(err.Error(), "\n", " "))
	case errors.Is(err, projector.ErrRebuilding):
		return problemf(http.StatusConflict, "rebuilding", "A rebuild goes on already",
			"%v; /v1/projections shows how far it is", err)
	default:
		return nil
	}
}
