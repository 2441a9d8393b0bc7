package events

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of a plan. All of it has to fit into [BodyMax] besides.
const (
	ShardsMax       = 1024 // shards of a group
	PlanSelectorMax = 1024 // the selector, in bytes
	PlanReasonMax   = 200  // a reason, in bytes
)

// Plan says which worker has which shard of a group. It is always the whole group, so that whoever reads the newest knows
// all, and it says what changed and why. Lists of shards are sorted, and every shard of the group is in one list.
type Plan struct {
	Reason   string              `json:"reason"`            // why it was made now, in a few words
	Selector string              `json:"selector"`          // the tag expression that its workers matched; empty for all nodes
	Seen     uint64              `json:"seen"`              // position up to which its author knew the log
	Bound    int                 `json:"bound"`             // no worker has more shards
	Workers  map[string][]string `json:"workers"`           // shards by worker; a worker without any is not named
	Waiting  []string            `json:"waiting,omitempty"` // shards that no worker has
	Moves    []Move              `json:"moves,omitempty"`   // what changed against the plan before, by rising From
}

// Move names shards that are not where they were, and why.
type Move struct {
	From   string   `json:"from,omitempty"` // who had them by the plan before; empty when nobody, or they are new
	Reason string   `json:"reason"`         // "failed", "left", "new shard", "balance", …
	Shards []string `json:"shards"`         // sorted; where each is now, the plan says
}

// Shards is the number of shards in the plan.
func (p *Plan) Shards() int {
	n := len(p.Waiting)
	for _, list := range p.Workers {
		n += len(list)
	}
	return n
}

// validatePlan wants the one writing of a plan: every shard once, lists sorted, within the bounds.
func validatePlan(p *Plan) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: plan: %s", ErrInvalid, fmt.Sprintf(format, args...))
	}
	switch {
	case p == nil:
		return fail("planned without one")
	case p.Seen == 0:
		return fail("seen is 0: whoever plans has read the log")
	case len(p.Selector) > PlanSelectorMax || !utf8.ValidString(p.Selector):
		return fail("selector %.80q is over %d bytes or no UTF-8", p.Selector, PlanSelectorMax)
	case p.Shards() > ShardsMax:
		return fail("%d shards, at most %d", p.Shards(), ShardsMax)
	}
	if err := validateReason(p.Reason); err != nil {
		return fail("%v", err)
	}
	seen := make(map[string]bool, p.Shards())
	for _, worker := range slices.Sorted(maps.Keys(p.Workers)) {
		list := p.Workers[worker]
		switch {
		case !ValidID(worker):
			return fail("worker %.80q is not an id", worker)
		case len(list) == 0 || len(list) > p.Bound:
			return fail("worker %s has %d shards, want 1 to the bound of %d", worker, len(list), p.Bound)
		}
		if err := validateShards(list, seen); err != nil {
			return fail("worker %s: %v", worker, err)
		}
	}
	if err := validateShards(p.Waiting, seen); err != nil {
		return fail("waiting: %v", err)
	}
	return validateMoves(p.Moves, seen)
}

// validateMoves: all is the set of the plan's shards.
func validateMoves(moves []Move, all map[string]bool) error {
	moved := make(map[string]bool)
	for i, m := range moves {
		err := validateReason(m.Reason)
		switch {
		case m.From != "" && !ValidID(m.From):
			err = fmt.Errorf("%.80q is not an id", m.From)
		case i > 0 && moves[i-1].From >= m.From:
			err = fmt.Errorf("it comes after %q", moves[i-1].From)
		case len(m.Shards) == 0:
			err = fmt.Errorf("it names no shard")
		case err == nil:
			err = validateShards(m.Shards, moved)
		}
		if err != nil {
			return fmt.Errorf("%w: plan: move from %.80q: %w", ErrInvalid, m.From, err)
		}
	}
	for shard := range moved {
		if !all[shard] {
			return fmt.Errorf("%w: plan: shard %s moves, and is not in the plan", ErrInvalid, shard)
		}
	}
	return nil
}

// validateShards wants rising ids that are not in seen, and adds them.
func validateShards(list []string, seen map[string]bool) error {
	for i, shard := range list {
		switch {
		case !ValidID(shard):
			return fmt.Errorf("shard %.80q is not an id", shard)
		case seen[shard]:
			return fmt.Errorf("shard %s comes twice", shard)
		case i > 0 && strings.Compare(list[i-1], shard) >= 0:
			return fmt.Errorf("shard %s comes after %s", shard, list[i-1])
		}
		seen[shard] = true
	}
	return nil
}

func validateReason(reason string) error {
	if reason == "" || len(reason) > PlanReasonMax || !utf8.ValidString(reason) {
		return fmt.Errorf("reason %.80q: want 1 to %d bytes of UTF-8", reason, PlanReasonMax)
	}
	return nil
}
