package httpapi

import (
	"net/http"

	"rollcall/projections"
	"rollcall/projections/projector"
)

type projectionsJSON struct {
	answer
	Version     string           `json:"version"`
	Dev         bool             `json:"dev"` // the /dev routes are there
	State       projector.State  `json:"state"`
	Ready       bool             `json:"ready"`
	Stopped     string           `json:"stopped,omitempty"` // why
	Log         logJSON          `json:"log"`
	Projections []projectionJSON `json:"projections"`
	Folded      uint64           `json:"folded"` // events since the start
	Snapshot    *snapshotJSON    `json:"snapshot,omitempty"`
	Rejected    rejectedJSON     `json:"rejected"`
	Sum         sumJSON          `json:"sum"`
	Parked      []parkedNodeJSON `json:"parked"`
	Rebuild     *rebuildJSON     `json:"rebuild,omitempty"` // that goes on, or the last
}

// sumJSON is a hash over the views: equal at equal positions on every projector of a log (I9).
type sumJSON struct {
	Position uint64 `json:"position"` // at which it was taken; may be behind that of the answer
	SHA256   string `json:"sha256"`
}

type parkedNodeJSON struct {
	Node string `json:"node"`
	parkedJSON
}

type rebuildJSON struct {
	Running     bool    `json:"running"`
	Position    uint64  `json:"position"`
	Target      uint64  `json:"target"`
	Started     stamp   `json:"started"`
	Ended       stamp   `json:"ended"`        // null while it runs
	SecondsLeft float64 `json:"seconds_left"` // estimated; 0 when it does not run, or has just begun
	Changed     bool    `json:"changed"`      // what was shown before was wrong
	Error       string  `json:"error,omitempty"`
}

func renderRebuild(b projector.Rebuilding) *rebuildJSON {
	if b.Started.IsZero() {
		return nil
	}
	out := &rebuildJSON{
		Running: b.Running, Position: b.Position, Target: b.Target, Started: stamp(b.Started), Ended: stamp(b.Ended),
		SecondsLeft: b.Left.Seconds(), Changed: b.Changed,
	}
	if b.Err != nil {
		out.Error = b.Err.Error()
	}
	return out
}

type logJSON struct {
	Identity  string `json:"identity"`
	Last      uint64 `json:"last"`
	Heartbeat stamp  `json:"heartbeat"` // when it last answered
	Error     string `json:"error,omitempty"`
}

type projectionJSON struct {
	Name     string `json:"name"`
	Version  int    `json:"version"`
	Position uint64 `json:"position"`
	SHA256   string `json:"sha256"` // of its state at the position of sum
}

type snapshotJSON struct {
	Position uint64 `json:"position"`
	Taken    stamp  `json:"taken"`
	Bytes    int64  `json:"bytes"`
	SHA256   string `json:"sha256"`
}

type rejectedJSON struct {
	Total uint64             `json:"total"`
	Last  []rejectedItemJSON `json:"last"`
}

type rejectedItemJSON struct {
	Position uint64 `json:"position"`
	Node     string `json:"node,omitempty"`
	Reason   string `json:"reason"`
}

func (a *api) projections(w http.ResponseWriter, r *http.Request) error {
	s := a.p.Status()
	out := projectionsJSON{
		answer: a.describe(s), Version: a.cfg.Version, Dev: a.cfg.Dev != nil, State: s.State, Ready: s.Ready,
		Log:      logJSON{Identity: s.Identity, Last: s.Last, Heartbeat: stamp(s.Heartbeat)},
		Folded:   s.Folded,
		Rejected: rejectedJSON{Total: s.RejectedTotal, Last: []rejectedItemJSON{}},
		Parked:   []parkedNodeJSON{}, Rebuild: renderRebuild(s.Rebuild),
	}
	if s.Stopped != nil {
		out.Stopped = s.Stopped.Error()
	}
	if s.LogError != nil {
		out.Log.Error = s.LogError.Error()
	}
	sum := a.p.Sum()
	out.Sum = sumJSON{sum.Position, sum.SHA256}
	for _, v := range projections.Versions() {
		out.Projections = append(out.Projections, projectionJSON{v.Name, v.Version, s.Position, sum.Views[v.Name]})
	}
	for _, n := range s.Parked {
		out.Parked = append(out.Parked, parkedNodeJSON{n.ID, *renderParked(n.Parked)})
	}
	if s.Snapshot.Position > 0 {
		out.Snapshot = &snapshotJSON{
			Position: s.Snapshot.Position, Taken: stamp(s.Snapshot.Taken), Bytes: s.Snapshot.Bytes, SHA256: s.Snapshot.SHA256,
		}
	}
	for _, rej := range s.Rejected {
		out.Rejected.Last = append(out.Rejected.Last, rejectedItemJSON(rej))
	}
	return send(w, r, out)
}

type healthJSON struct {
	Status   string `json:"status"`
	Position uint64 `json:"position"`
}

// livez says that the process serves.
func (a *api) livez(w http.ResponseWriter, r *http.Request) error {
	return send(w, r, healthJSON{"live", a.p.Position()})
}

// readyz says whether the views have caught up with the log since the start.
func (a *api) readyz(w http.ResponseWriter, r *http.Request) error {
	s := a.p.Status()
	if !s.Ready {
		return a.notReady()
	}
	return send(w, r, healthJSON{"ready", s.Position})
}

// notReady says why the views do not hold the whole log yet.
func (a *api) notReady() error {
	s := a.p.Status()
	switch {
	case s.Stopped != nil:
		return s.Stopped
	case s.Heartbeat.IsZero():
		return problemf(http.StatusServiceUnavailable, "not-ready", "Not ready",
			"the log has not answered yet; the views are at position %d", s.Position).again()
	default:
		return problemf(http.StatusServiceUnavailable, "not-ready", "Not ready",
			"catching up: at position %d of %d", s.Position, s.Last).again()
	}
}
