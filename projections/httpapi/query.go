package httpapi

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/events"
	"rollcall/projections"
	"rollcall/projections/projector"
)

// valuesMax is how often one query parameter may be given.
const valuesMax = 32

// checkParams refuses what a route does not know: a misspelt filter must not look like an answer.
func checkParams(r *http.Request, known []string) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return problemf(http.StatusBadRequest, "bad-parameter", "A query parameter cannot be read",
			"the query string is not well formed: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !slices.Contains(known, name) {
			takes := "it takes none"
			if len(known) > 0 {
				takes = "it takes " + strings.Join(known, ", ")
			}
			return problemf(http.StatusBadRequest, "unknown-parameter", "A query parameter is not known",
				"%.200s has no parameter %.80q; %s", r.URL.Path, name, takes)
		}
		if n := len(query[name]); n > valuesMax {
			return badParam(name, "given %d times, at most %d", n, valuesMax)
		}
	}
	return nil
}

// single returns the value of a parameter that may be given once; empty when it was not.
func single(query url.Values, name string) (string, error) {
	if n := len(query[name]); n > 1 {
		return "", badParam(name, "given %d times, once is enough", n)
	}
	return query.Get(name), nil
}

// position reads a parameter that is a log position; 0 when it was not given.
func position(query url.Values, name string) (uint64, error) {
	s, err := single(query, name)
	if err != nil || !query.Has(name) {
		return 0, err
	}
	n, perr := strconv.ParseUint(s, 10, 64)
	if perr != nil || n == 0 || n > positionMax {
		return 0, badParam(name, "%.40q is not a position: want a whole number from 1", s)
	}
	return n, nil
}

// positionMax leaves room for the position after it.
const positionMax = 1 << 62

// instant reads a parameter that is a position or a time of the past.
func instant(query url.Values, name string) (at projector.At, given bool, err error) {
	if query.Has(name) && query.Has("min_position") {
		return at, false, badParam(name, "it cannot go with min_position: one asks for the past, the other for the future")
	}
	return positionOrTime(query, name)
}

func positionOrTime(query url.Values, name string) (at projector.At, given bool, err error) {
	s, err := single(query, name)
	if err != nil || !query.Has(name) {
		return at, false, err
	}
	if !strings.ContainsAny(s, "-:") {
		n, perr := position(query, name)
		if perr == nil && n > 0 {
			return projector.At{Position: n}, true, nil
		}
	} else if t, terr := time.Parse(time.RFC3339, s); terr == nil {
		return projector.At{Time: t}, true, nil
	}
	return at, false, badParam(name, "%.60q is neither a position (a whole number from 1) nor an RFC 3339 time such as "+
		"2026-03-01T12:00:00Z; a + in it is written %%2B", s)
}

// nodeFilter chooses nodes.
type nodeFilter struct {
	states []events.State
	tags   projections.Selector
}

func parseNodeFilter(query url.Values) (f nodeFilter, err error) {
	for _, list := range query["status"] {
		for name := range strings.SplitSeq(list, ",") {
			var s events.State
			if err := s.UnmarshalText([]byte(name)); err != nil {
				return f, badParam("status", "%v", err)
			}
			f.states = append(f.states, s)
		}
	}
	if f.tags, err = projections.ParseSelector(query["tag"]...); err != nil {
		return f, badParam("tag", "%v", err)
	}
	return f, nil
}

// eventFilter reads node=, group=, author= and kind=.
func eventFilter(query url.Values) (f events.Filter, err error) {
	for name, into := range map[string]*string{"node": &f.Node, "group": &f.Group, "author": &f.Author} {
		if *into, err = single(query, name); err != nil {
			return f, err
		}
		if query.Has(name) && !events.ValidID(*into) {
			return f, badParam(name, "%.80q is not an id: 1 to %d of A-Z a-z 0-9 _ -", *into, events.IDMax)
		}
	}
	if query.Has("node") && query.Has("group") {
		return f, badParam("group", "no event is about a node and of a group: ask for one of them")
	}
	kind, err := single(query, "kind")
	if err != nil {
		return f, err
	}
	f.Kind = events.Kind(kind)
	if query.Has("kind") && !f.Kind.Valid() {
		return f, badParam("kind", "%.80q is not a kind: want one of %v", kind, append(events.Kinds(), events.GroupKinds()...))
	}
	return f, nil
}

// pathID returns the node that the path names.
func pathID(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if !events.ValidID(id) {
		return "", problemf(http.StatusBadRequest, "bad-id", "That is not an id",
			"%.80q is not an id: 1 to %d of A-Z a-z 0-9 _ -", id, events.IDMax)
	}
	return id, nil
}
