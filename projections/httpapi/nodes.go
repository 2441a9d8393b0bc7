package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"rollcall/events"
	"rollcall/projections"
)

// nodeJSON is one node in a list.
type nodeJSON struct {
	ID            string            `json:"id"`
	Address       string            `json:"address"`
	State         events.State      `json:"state"`
	Incarnation   uint64            `json:"incarnation"`
	Tags          map[string]string `json:"tags"`
	Since         stamp             `json:"since"`
	SincePosition uint64            `json:"since_position"`
	Accusers      []string          `json:"accusers"`
	Unreachable   []string          `json:"unreachable_from"` // who could not reach it of late, although it lives
	Parked        *parkedJSON       `json:"parked,omitempty"` // why all the above may not be true; absent when it is
}

// parkedJSON says which unreadable event keeps a node from being handed out.
type parkedJSON struct {
	Position uint64       `json:"position"` // of the first unreadable event
	Events   uint64       `json:"events"`   // that are unreadable
	State    events.State `json:"state"`    // of the node when the first came
	Reason   string       `json:"reason"`
}

func renderParked(p *projections.Parked) *parkedJSON {
	if p == nil {
		return nil
	}
	return &parkedJSON{Position: p.Position, Events: p.Events, State: p.State, Reason: p.Reason}
}

// nodeDetail is one node by itself.
type nodeDetail struct {
	nodeJSON
	LastPosition uint64   `json:"last_position"`     // newest event about it
	Because      *because `json:"because,omitempty"` // the event that brought the state; absent in state unknown
	Flaps        uint64   `json:"flaps"`
	Failures     uint64   `json:"failures"`
	Rejected     uint64   `json:"rejected"` // events about it that cannot be read
}

type because struct {
	Position uint64          `json:"position"`
	Kind     events.Kind     `json:"kind"`
	Author   string          `json:"author"`
	Evidence json.RawMessage `json:"evidence,omitempty"`
}

// renderNode shows a node as it stood at now.
func renderNode(n *projections.Node, now time.Time) nodeJSON {
	out := nodeJSON{
		ID: n.ID, Address: n.Address, State: n.State, Incarnation: n.Incarnation, Tags: n.Tags,
		Since: stamp(n.Since), SincePosition: n.SincePosition, Accusers: n.Accusers,
		Unreachable: n.UnreachableFrom(now), Parked: renderParked(n.Parked),
	}
	if out.Tags == nil {
		out.Tags = map[string]string{}
	}
	if out.Accusers == nil {
		out.Accusers = []string{}
	}
	if out.Unreachable == nil {
		out.Unreachable = []string{}
	}
	return out
}

func (a *api) nodes(w http.ResponseWriter, r *http.Request) error {
	filter, err := parseNodeFilter(r.URL.Query())
	if err != nil {
		return err
	}
	var nodes []*projections.Node
	ans, err := a.read(r, func(v *projections.Views) { nodes = v.Registry.Tagged(filter.tags) })
	if err != nil {
		return err
	}
	if len(filter.states) > 0 {
		nodes = slices.DeleteFunc(nodes, func(n *projections.Node) bool { return !slices.Contains(filter.states, n.State) })
	}
	return sendNodes(w, r, ans, "nodes", nodes)
}

func (a *api) node(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	var n *projections.Node
	var tally projections.Tally
	var found bool
	ans, err := a.read(r, func(v *projections.Views) {
		n, found = v.Registry.Node(id)
		tally, _ = v.Timeline.Tally(id)
	})
	if err != nil {
		return err
	}
	if !found {
		return noNode(id)
	}
	detail := nodeDetail{
		nodeJSON: renderNode(n, ans.asOf), LastPosition: n.LastPosition, Flaps: tally.Flaps, Failures: tally.Failures, Rejected: n.Rejected,
	}
	if n.SincePosition > 0 {
		detail.Because = &because{Position: n.SincePosition, Kind: n.Kind, Author: n.By, Evidence: n.Evidence}
	}
	return send(w, r, struct {
		answer
		Node nodeDetail `json:"node"`
	}{ans, detail})
}

// entryJSON is one event in a node's history.
type entryJSON struct {
	Position    uint64            `json:"position"`
	Time        stamp             `json:"time"`
	Stored      stamp             `json:"stored"`
	Kind        events.Kind       `json:"kind"`
	Author      string            `json:"author"`
	Incarnation uint64            `json:"incarnation"`
	ID          string            `json:"id"`
	Outcome     outcomeJSON       `json:"outcome"`
	Address     string            `json:"address,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Evidence    json.RawMessage   `json:"evidence,omitempty"`
}

// outcomeJSON is what the fold made of an event.
type outcomeJSON struct {
	Result events.Result `json:"result"`
	Reason string        `json:"reason,omitempty"`
	Before events.State  `json:"before"`
	After  events.State  `json:"after"`
}

func renderOutcome(o events.Outcome) outcomeJSON {
	return outcomeJSON{Result: o.Result, Reason: o.Reason, Before: o.Before, After: o.After}
}

func renderEntry(e *projections.Entry) entryJSON {
	return entryJSON{
		Position: e.Position, Time: stamp(e.Time), Stored: stamp(e.Stored), Kind: e.Kind, Author: e.Author,
		Incarnation: e.Incarnation, ID: e.ID, Outcome: renderOutcome(e.Outcome),
		Address: e.Address, Tags: e.Tags, Evidence: e.Evidence,
	}
}

// windowReportJSON is what befell one node from an instant to another.
type windowReportJSON struct {
	windowJSON
	reportJSON
}

// history answers with what happened to a node, and what it adds up to: until now or an instant, since an instant where one is
// given.
func (a *api) history(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	end := "at"
	if query := r.URL.Query(); query.Has("to") {
		if end = "to"; query.Has("at") {
			return badParam("to", "it cannot go with at: both are the end of what is asked about")
		}
	}
	win, ans, err := a.window(r, end)
	if err != nil {
		return err
	}
	h, found := win.end.Timeline.History(id)
	if !found {
		return noNode(id)
	}
	if err := a.complete(r, id, &h); err != nil {
		return err
	}
	entries := make([]entryJSON, 0, len(h.Entries))
	for i := range h.Entries {
		if h.Entries[i].Position <= win.start.Position() {
			h.Older++
			continue
		}
		entries = append(entries, renderEntry(&h.Entries[i]))
	}
	sum, _ := win.end.Timeline.Account(id, win.to)
	befell := win.since(id, sum)
	return send(w, r, struct {
		answer
		ID       string           `json:"id"`
		Flaps    uint64           `json:"flaps"`
		Failures uint64           `json:"failures"`
		Older    uint64           `json:"older"` // events before the first listed; /v1/events?node= has them
		Report   windowReportJSON `json:"report"`
		History  []entryJSON      `json:"history"`
	}{ans, id, h.Flaps, h.Failures, h.Older, windowReportJSON{win.render(), renderReport(&befell)}, entries})
}

// complete reads from the log what a history as of an earlier instant does not have.
func (a *api) complete(r *http.Request, id string, h *projections.History) error {
	ctx, cancel := context.WithTimeout(r.Context(), logReadMax)
	defer cancel()
	return a.p.Complete(ctx, id, h)
}
