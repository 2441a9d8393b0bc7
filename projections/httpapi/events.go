package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"rollcall/events"
	"rollcall/projections/projector"
)

const pageDefault = 100

// eventJSON is one event of the log: where it is, what the fold made of it, and the CloudEvent.
type eventJSON struct {
	Position uint64       `json:"position"`
	Stored   stamp        `json:"stored"`
	Outcome  *outcomeJSON `json:"outcome,omitempty"`  // absent for an event older than its node's kept history
	Mismatch string       `json:"mismatch,omitempty"` // where body and subject disagreed; the subject's word is shown
	Event    cloudEvent   `json:"event"`
}

// cloudEvent is the event as the log holds it. It is written here and not by events.Encode because the log may hold
// events that no author of ours may write, and those are shown too.
type cloudEvent struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject"`
	Time            stamp     `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	TraceParent     string    `json:"traceparent,omitempty"`
	Data            eventData `json:"data"`
}

type eventData struct {
	Cluster     string            `json:"cluster"`
	Node        string            `json:"node,omitempty"`  // of an event of a node
	Group       string            `json:"group,omitempty"` // of an event of an assignment group
	Author      string            `json:"author"`
	Incarnation uint64            `json:"incarnation,omitempty"` // of a node
	Address     string            `json:"address,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Plan        *events.Plan      `json:"plan,omitempty"`
	Evidence    json.RawMessage   `json:"evidence,omitempty"`
}

func renderEvent(n *projector.Notice) eventJSON {
	out := eventJSON{
		Position: n.Position, Stored: stamp(n.Stored), Mismatch: n.Mismatch,
		Event: cloudEvent{
			SpecVersion: "1.0", ID: n.ID, Source: "/rollcall/" + n.Cluster + "/" + n.Author,
			Type: events.Type(n.Kind), Subject: n.Node + n.Group, Time: stamp(n.Time), // one of the two is empty
			DataContentType: "application/json", TraceParent: n.TraceParent,
			Data: eventData{
				Cluster: n.Cluster, Node: n.Node, Group: n.Group, Author: n.Author, Incarnation: n.Incarnation,
				Address: n.Address, Tags: n.Tags, Plan: n.Plan, Evidence: n.Evidence,
			},
		},
	}
	if n.Outcome != nil {
		o := renderOutcome(*n.Outcome)
		out.Outcome = &o
	}
	return out
}

func (a *api) events(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	filter, err := eventFilter(query)
	if err != nil {
		return err
	}
	at, _, err := positionOrTime(query, "from")
	if err != nil {
		return err
	}
	limit, err := parseLimit(query)
	if err != nil {
		return err
	}
	if err := a.await(r.Context(), query); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), logReadMax)
	defer cancel()
	from, err := a.p.From(ctx, at)
	if err != nil {
		return err
	}
	page, next, err := a.p.Page(ctx, filter, from, limit)
	if err != nil {
		return err
	}
	status := a.p.Status() // after the page, so that no event in it is beyond the position
	list := make([]eventJSON, 0, len(page))
	for i := range page {
		list = append(list, renderEvent(&page[i]))
	}
	return send(w, r, struct {
		answer
		Events []eventJSON `json:"events"`
		Next   uint64      `json:"next"` // from= of the next page; above position: this was the last for now
	}{a.describe(status), list, next})
}

// describe is the answer part of a status.
func (a *api) describe(s projector.Status) answer {
	return answer{
		Cluster: s.Cluster, Position: s.Position, Time: stamp(s.Stored), Lag: lag{Events: s.Lag.Events, Seconds: s.Lag.Seconds},
	}
}

func parseLimit(query map[string][]string) (int, error) {
	s, err := single(query, "limit")
	if err != nil || len(query["limit"]) == 0 {
		return pageDefault, err
	}
	n, perr := strconv.Atoi(s)
	if perr != nil || n < 1 || n > projector.PageMax {
		return 0, badParam("limit", "%.40q is not a number from 1 to %d", s, projector.PageMax)
	}
	return n, nil
}
