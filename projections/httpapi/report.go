package httpapi

import (
	"net/http"
	"time"

	"rollcall/projections"
)

// window is the time between two instants, and the views at both.
type window struct {
	start, end *projections.Views
	from, to   time.Time // from is zero for the beginning of the log
}

// window reads from= and the instant that the parameter end names. Without from the window begins with the log; without the
// other it goes on until now, or until when the views last held everything that the log had.
func (a *api) window(r *http.Request, end string) (win window, ans answer, err error) {
	query := r.URL.Query()
	from, given, err := positionOrTime(query, "from")
	if err != nil {
		return win, ans, err
	}
	win.start = projections.New(a.p.Cluster())
	if given {
		if win.start, ans, err = a.past(r, from); err != nil {
			return win, ans, err
		}
		win.from = win.start.Timeline.Moment(ans.asOf)
	}
	if win.end, ans, err = a.frozen(r, end, win.start.Position()); err != nil {
		return win, ans, err
	}
	win.to = win.end.Timeline.Moment(ans.level())
	if win.to.Before(win.from) && !query.Has(end) {
		win.to = win.from // the views are behind
	}
	if win.start.Position() > win.end.Position() || win.to.Before(win.from) {
		return win, ans, badParam("from", "it is after %s: a window ends at or after its beginning", end)
	}
	return win, ans, nil
}

// since is what befell a node in the window, of its account at the end.
func (win *window) since(id string, sum projections.Account) projections.Account {
	before, _ := win.start.Timeline.Account(id, win.from)
	sum.Sub(&before)
	return sum
}

// windowJSON says from when until when a report is.
type windowJSON struct {
	From instantJSON `json:"from"` // position 0 and no time: from the beginning of the log
	To   instantJSON `json:"to"`
}

func (win *window) render() windowJSON {
	return windowJSON{
		instantJSON{win.start.Position(), stamp(win.from)}, instantJSON{win.end.Position(), stamp(win.to)},
	}
}

// reportJSON is what befell one node in a window, or all of them together.
type reportJSON struct {
	Known           float64     `json:"known_seconds"` // on the roll: from joining to leaving
	Up              float64     `json:"up_seconds"`    // of those, alive or suspect
	Availability    *float64    `json:"availability"`  // their ratio; null: not on the roll
	Suspicions      uint64      `json:"suspicions"`
	FalseSuspicions uint64      `json:"false_suspicions"`
	Failures        uint64      `json:"failures"`
	Flaps           uint64      `json:"flaps"`
	TimeToDetect    *delaysJSON `json:"time_to_detect"` // null: no failure says how long it took to find
}

type delaysJSON struct {
	Count uint64  `json:"count"`
	Mean  float64 `json:"mean_seconds"`
	P50   float64 `json:"p50_seconds"`
	P99   float64 `json:"p99_seconds"`
	Max   float64 `json:"max_seconds"`
}

func renderReport(a *projections.Account) reportJSON {
	out := reportJSON{
		Known: float64(a.KnownMillis) / 1000, Up: float64(a.UpMillis) / 1000,
		Suspicions: a.Suspicions, FalseSuspicions: a.FalseSuspicions, Failures: a.Failures, Flaps: a.Flaps,
	}
	if share, ok := a.Availability(); ok {
		out.Availability = &share
	}
	if d := &a.Detected; d.Count() > 0 {
		out.TimeToDetect = &delaysJSON{
			d.Count(), d.Mean().Seconds(), d.Percentile(50).Seconds(), d.Percentile(99).Seconds(), d.Percentile(100).Seconds(),
		}
	}
	return out
}

type nodeReportJSON struct {
	ID string `json:"id"`
	reportJSON
}

// report answers with what befell the nodes between two instants: each that was on the roll, and all together.
func (a *api) report(w http.ResponseWriter, r *http.Request) error {
	win, ans, err := a.window(r, "to")
	if err != nil {
		return err
	}
	var total projections.Account
	nodes := []nodeReportJSON{}
	for id, sum := range win.end.Timeline.Accounts(win.to) {
		befell := win.since(id, sum)
		if befell.Empty() {
			continue
		}
		total.Add(&befell)
		nodes = append(nodes, nodeReportJSON{id, renderReport(&befell)})
	}
	return send(w, r, struct {
		answer
		windowJSON
		Total reportJSON       `json:"total"`
		Nodes []nodeReportJSON `json:"nodes"`
	}{ans, win.render(), renderReport(&total), nodes})
}
