package httpapi

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"

	"rollcall/events"
	"rollcall/projections"
)

// loadTag is the tag that least_loaded goes by when key names none.
const loadTag = "load"

// services answers with the nodes that can be called: Alive, unless status widens it, and chosen by their tags.
func (a *api) services(w http.ResponseWriter, r *http.Request) error {
	filter, err := parseNodeFilter(r.URL.Query())
	if err != nil {
		return err
	}
	var found []*projections.Node
	ans, err := a.read(r, func(v *projections.Views) { found = v.Registry.Select(filter.tags, filter.states...) })
	if err != nil {
		return err
	}
	return sendNodes(w, r, ans, "services", found)
}

// pick answers with one of what services would answer with.
func (a *api) pick(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	filter, err := parseNodeFilter(query)
	if err != nil {
		return err
	}
	strategy, key, err := parseStrategy(query)
	if err != nil {
		return err
	}
	var found []*projections.Node
	ready := a.p.Status().Ready
	ans, err := a.read(r, func(v *projections.Views) { found = v.Registry.Select(filter.tags, filter.states...) })
	switch {
	case err != nil:
		return err
	case len(found) == 0 && !ready && !query.Has("at"):
		return a.notReady()
	case len(found) == 0:
		return problemf(http.StatusNotFound, "no-match", "No node matches",
			"no node in state %v has tags that match %.120q; /v1/nodes lists those that there are", filter.wanted(), filter.tags)
	}
	var picked *projections.Node
	switch strategy {
	case projections.RoundRobin:
		picked = a.turns.next(filter.String(), found)
	case projections.Random:
		picked = projections.PickRandom(found, rand.IntN)
	case projections.LeastLoaded:
		picked = projections.PickLeastLoaded(found, key, rand.IntN)
	case projections.Rendezvous:
		picked = projections.PickRendezvous(found, key)
	}
	return send(w, r, struct {
		answer
		Strategy   projections.Strategy `json:"strategy"`
		Candidates int                  `json:"candidates"`
		Node       nodeJSON             `json:"node"`
	}{ans, strategy, len(found), renderNode(picked, ans.asOf)})
}

// parseStrategy reads strategy= and key=.
func parseStrategy(query url.Values) (strategy projections.Strategy, key string, err error) {
	name, err := single(query, "strategy")
	if err != nil {
		return "", "", err
	}
	if key, err = single(query, "key"); err != nil {
		return "", "", err
	}
	strategy = projections.Strategy(name)
	switch {
	case name == "" && query.Has("key"):
		strategy = projections.Rendezvous
	case name == "":
		strategy = projections.Random
	case !strategy.Valid():
		return "", "", badParam("strategy", "%.40q is none of %v", name, projections.Strategies())
	case strategy == projections.RoundRobin && query.Has("at"):
		return "", "", badParam("strategy", "round_robin takes turns, of which the past has none: choose another, or leave at= out")
	}
	switch {
	case strategy == projections.Rendezvous && !query.Has("key"):
		return "", "", badParam("key", "rendezvous needs it: the same key gives the same node")
	case strategy == projections.LeastLoaded && key == "":
		key = loadTag
	case query.Has("key") && (strategy == projections.RoundRobin || strategy == projections.Random):
		return "", "", badParam("key", "%s does not go by a key; rendezvous does, and least_loaded by the tag that it names", strategy)
	}
	return strategy, key, nil
}

// wanted are the states that a service may be in.
func (f nodeFilter) wanted() []events.State {
	if len(f.states) == 0 {
		return []events.State{events.StateAlive}
	}
	return f.states
}

// String is the same for filters that choose the same by the same words.
func (f nodeFilter) String() string {
	states := slices.Clone(f.wanted())
	slices.Sort(states)
	text := f.tags.String()
	for _, s := range slices.Compact(states) {
		text += " " + s.String()
	}
	return text
}
