package httpapi

import (
	"net/http"
	"time"

	"rollcall/projections"
)

// instantJSON is where one side of a diff or of a window stands.
type instantJSON struct {
	Position uint64 `json:"position"`
	Time     stamp  `json:"time"`
}

// changeJSON is what became of one node. A side on which the log did not name the node is absent.
type changeJSON struct {
	ID     string    `json:"id"`
	Fields []string  `json:"fields"`
	Before *nodeJSON `json:"before,omitempty"`
	After  *nodeJSON `json:"after,omitempty"`
}

func renderChanges(list []projections.Change, before, after time.Time) []changeJSON {
	out := make([]changeJSON, 0, len(list))
	side := func(n *projections.Node, at time.Time) *nodeJSON {
		if n == nil {
			return nil
		}
		rendered := renderNode(n, at)
		return &rendered
	}
	for _, c := range list {
		out = append(out, changeJSON{ID: c.ID, Fields: c.Fields, Before: side(c.Before, before), After: side(c.After, after)})
	}
	return out
}

// diff answers with what changed on the roll between two instants; without to, until now.
func (a *api) diff(w http.ResponseWriter, r *http.Request) error {
	from, given, err := instant(r.URL.Query(), "from")
	if err != nil {
		return err
	}
	if !given {
		return badParam("from", "it is needed: a position or an RFC 3339 time")
	}
	before, began, err := a.past(r, from)
	if err != nil {
		return err
	}
	after, ans, err := a.frozen(r, "to", 0)
	if err != nil {
		return err
	}
	d := projections.DiffOf(before.Registry, after.Registry)
	changes := func(list []projections.Change) []changeJSON {
		return renderChanges(list, began.asOf, ans.asOf)
	}
	return send(w, r, struct {
		answer
		From    instantJSON  `json:"from"`
		To      instantJSON  `json:"to"`
		Added   []changeJSON `json:"added"`
		Changed []changeJSON `json:"changed"`
		Removed []changeJSON `json:"removed"`
	}{
		ans, instantJSON{before.Position(), stamp(before.Stored())}, instantJSON{after.Position(), stamp(after.Stored())},
		changes(d.Added), changes(d.Changed), changes(d.Removed),
	})
}
