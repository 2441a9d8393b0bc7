package httpapi

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"rollcall/events"
	"rollcall/projections"
	"rollcall/projections/assignment"
)

// groupJSON is one assignment group in a list.
type groupJSON struct {
	Group        string `json:"group"`
	Director     string `json:"director"`         // empty: any live member may direct
	Former       string `json:"former,omitempty"` // who directed last, when nobody does
	Vacant       string `json:"vacant,omitempty"` // why nobody does: failed, left or resigned
	PlanPosition uint64 `json:"plan_position"`    // of the standing plan; 0: there is none
	Planned      stamp  `json:"planned"`          // when the log accepted it
	Reason       string `json:"reason"`
	Selector     string `json:"selector"`
	Bound        int    `json:"bound"`
	Shards       int    `json:"shards"`
	Assigned     int    `json:"assigned"`      // shards that a worker has
	LastPosition uint64 `json:"last_position"` // newest event of the group
	Refused      uint64 `json:"refused"`       // events of the group that were not applied
	Rejected     uint64 `json:"rejected"`      // events of the group that cannot be read
}

// groupDetail is one group by itself.
type groupDetail struct {
	groupJSON
	Assignments []shardJSON `json:"assignments"`
}

// shardJSON is one shard.
type shardJSON struct {
	Shard  string `json:"shard"`
	Worker string `json:"worker"` // empty: nobody has it
	From   string `json:"from"`   // who had it before
	Reason string `json:"reason"`
	Since  uint64 `json:"since"` // position of the event that brought it here: the fence of its worker
}

// whatIfJSON is the plan that would be made if the question were so.
type whatIfJSON struct {
	Without []string     `json:"without"`
	With    []string     `json:"with"`
	Differs bool         `json:"differs"` // from the standing plan
	Plan    *events.Plan `json:"plan"`
}

func renderGroup(g *projections.Group) groupJSON {
	out := groupJSON{
		Group: g.Name, Director: g.Director, Former: g.Former, Vacant: g.Vacant, PlanPosition: g.Position,
		Planned: stamp(g.Stored), Reason: g.Reason, Selector: g.Selector, Bound: g.Bound, Shards: len(g.Shards),
		LastPosition: g.LastPosition, Refused: g.Refused, Rejected: g.Rejected,
	}
	for _, s := range g.Shards {
		if s.Worker != "" {
			out.Assigned++
		}
	}
	return out
}

// assignmentGroups answers with every group.
func (a *api) assignmentGroups(w http.ResponseWriter, r *http.Request) error {
	var all []*projections.Group
	ans, err := a.read(r, func(v *projections.Views) { all = v.Assignments.Groups() })
	if err != nil {
		return err
	}
	groups := make([]groupJSON, 0, len(all))
	for _, g := range all {
		groups = append(groups, renderGroup(g))
	}
	return send(w, r, struct {
		answer
		Groups []groupJSON `json:"groups"`
	}{ans, groups})
}

// assignmentGroup answers with one group, and with what its next plan would be if without and with were so.
func (a *api) assignmentGroup(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("group")
	if !events.ValidID(name) {
		return problemf(http.StatusBadRequest, "bad-id", "That is not an id",
			"%.80q is not an id: 1 to %d of A-Z a-z 0-9 _ -", name, events.IDMax)
	}
	question, asked, err := parseAssumption(r.URL.Query())
	if err != nil {
		return err
	}
	var g *projections.Group
	var found bool
	var supposed *whatIfJSON
	var planErr error
	ans, err := a.read(r, func(v *projections.Views) {
		g, found = v.Assignments.Group(name)
		if found && asked {
			var plan events.Plan
			var differs bool
			plan, differs, planErr = assignment.WhatIf(v, name, question)
			supposed = &whatIfJSON{question.Without, question.With, differs, &plan}
		}
	})
	switch {
	case err != nil:
		return err
	case !found:
		return problemf(http.StatusNotFound, "no-such-group", "The log does not name this group",
			"no event up to this position is of group %q; /v1/assignments lists those there are", name)
	case errors.Is(planErr, assignment.ErrNoGroup):
		return problemf(http.StatusConflict, "no-plan", "The group has no plan yet",
			"nobody has planned group %q, so there is nothing to suppose; leave without and with out", name)
	case planErr != nil:
		return problemf(http.StatusConflict, "no-plan", "The group's selector cannot be read", "group %q: %v", name, planErr)
	}
	detail := groupDetail{groupJSON: renderGroup(g), Assignments: make([]shardJSON, 0, len(g.Shards))}
	for _, s := range g.Shards {
		detail.Assignments = append(detail.Assignments, shardJSON{s.Name, s.Worker, s.From, s.Reason, s.Since})
	}
	return send(w, r, struct {
		answer
		Group  groupDetail `json:"group"`
		WhatIf *whatIfJSON `json:"what_if,omitempty"`
	}{ans, detail, supposed})
}

// parseAssumption reads without= and with=, ids that are repeated or separated with commas.
func parseAssumption(query url.Values) (a assignment.Assumption, asked bool, err error) {
	list := func(name string) (ids []string, err error) {
		ids = []string{}
		for _, value := range query[name] {
			for id := range strings.SplitSeq(value, ",") {
				if !events.ValidID(id) {
					return nil, badParam(name, "%.80q is not an id: 1 to %d of A-Z a-z 0-9 _ -", id, events.IDMax)
				}
				if !slices.Contains(ids, id) {
					ids = append(ids, id)
				}
			}
		}
		if len(ids) > events.ShardsMax {
			return nil, badParam(name, "%d ids, at most %d", len(ids), events.ShardsMax)
		}
		return ids, nil
	}
	if a.Without, err = list("without"); err != nil {
		return a, false, err
	}
	if a.With, err = list("with"); err != nil {
		return a, false, err
	}
	return a, query.Has("without") || query.Has("with"), nil
}
