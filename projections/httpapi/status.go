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
}

type snapshotJSON struct {
	Position uint64 `json:"position"`
	Taken    stamp  `json:"taken"`
	Bytes    int    `json:"bytes"`
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
	}
	if s.Stopped != nil {
		out.Stopped = s.Stopped.Error()
	}
	if s.LogError != nil {
		out.Log.Error = s.LogError.Error()
	}
	for _, v := range projections.Versions() {
		out.Projections = append(out.Projections, projectionJSON{Name: v.Name, Version: v.Version, Position: s.Position})
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
	switch {
	case s.Ready:
		return send(w, r, healthJSON{"ready", s.Position})
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
