package httpapi

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"rollcall/events"
	"rollcall/infra/httpserver"
)

// DevControl does to the members of a development cluster what the page's buttons say. Its methods are called from many
// goroutines at once.
type DevControl interface {
	// Do does one of DevActions to member id. It fails with ErrUnknownNode or ErrWrongState when it cannot.
	Do(ctx context.Context, id, action string) error

	// Partition lets members talk only to members of the same group, and members in no group to each other; no groups at
	// all ends every partition. It fails with ErrUnknownNode when a group names one.
	Partition(ctx context.Context, groups [][]string) error
}

// Errors of DevControl.
var (
	ErrUnknownNode = errors.New("no such member")
	ErrWrongState  = errors.New("the member is not in a state for that")
)

// DevActions returns what DevControl.Do takes: crash (gone without a word), pause and resume (a process that does not
// run), restart (a new life), leave (a graceful end).
func DevActions() []string { return []string{"crash", "pause", "resume", "restart", "leave"} }

// sameSite refuses what a page of another site may have sent.
func sameSite(r *http.Request) error {
	if err := httpserver.CheckSameSite(r); err != nil {
		return problemf(http.StatusForbidden, "cross-site", "Another site may have sent this",
			"%v; send it from the page itself or from a program on this machine", err)
	}
	return nil
}

func (a *api) devNode(w http.ResponseWriter, r *http.Request) error {
	if err := sameSite(r); err != nil {
		return err
	}
	id, err := pathID(r)
	if err != nil {
		return err
	}
	action := r.PathValue("action")
	if !slices.Contains(DevActions(), action) {
		return problemf(http.StatusNotFound, "no-such-action", "There is no such action",
			"%.40q is not one of %v", action, DevActions())
	}
	if err := a.cfg.Dev.Do(r.Context(), id, action); err != nil {
		return devProblem(err)
	}
	a.log.Info("dev action", "node", id, "action", action)
	return send(w, r, struct {
		Node   string `json:"node"`
		Action string `json:"action"`
	}{id, action})
}

type partitionJSON struct {
	Groups [][]string `json:"groups"`
}

func (a *api) devPartition(w http.ResponseWriter, r *http.Request) error {
	if err := sameSite(r); err != nil {
		return err
	}
	var body partitionJSON
	if err := readBody(r, &body, `{"groups":[["n1","n2"],["n3"]]}, or {"groups":[]} to heal`); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, group := range body.Groups {
		for _, id := range group {
			if !events.ValidID(id) || seen[id] {
				return badBody("%.80q is not an id, or stands in two places", id)
			}
			seen[id] = true
		}
	}
	if body.Groups == nil {
		body.Groups = [][]string{}
	}
	if err := a.cfg.Dev.Partition(r.Context(), body.Groups); err != nil {
		return devProblem(err)
	}
	a.log.Info("dev partition", "groups", body.Groups)
	return send(w, r, body)
}

func devProblem(err error) error {
	switch {
	case errors.Is(err, ErrUnknownNode):
		return problemf(http.StatusNotFound, "no-such-member", "There is no such member", "%v", err)
	case errors.Is(err, ErrWrongState):
		return problemf(http.StatusConflict, "wrong-state", "The member is not in a state for that", "%v", err)
	default:
		return err
	}
}
