package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"rollcall/projections"
	"rollcall/projections/projector"
)

// answer is what every read says of itself.
type answer struct {
	Cluster  string `json:"cluster"`
	Position uint64 `json:"position"` // last event seen; 0: none
	Time     stamp  `json:"time"`     // when the log accepted it; null: none
	Lag      lag    `json:"lag"`

	asOf time.Time // the instant that is asked about: now, or the past
}

type lag struct {
	Events  uint64  `json:"events"`
	Seconds float64 `json:"seconds"`
}

// stamp is a time as RFC 3339 in UTC; null when zero. Unlike time.Time it writes whatever an author claimed.
type stamp time.Time

func (s stamp) MarshalJSON() ([]byte, error) {
	t := time.Time(s)
	if t.IsZero() {
		return []byte("null"), nil
	}
	return []byte(strconv.Quote(t.UTC().Format(time.RFC3339Nano))), nil
}

// logReadMax bounds what one answer may read out of the log.
const logReadMax = 15 * time.Second

// read calls fn with the views that the request asks for: as they are, once min_position is reached, or as of at.
func (a *api) read(r *http.Request, fn func(v *projections.Views)) (answer, error) {
	query := r.URL.Query()
	at, given, err := instant(query, "at")
	if err != nil {
		return answer{}, err
	}
	if given {
		past, ans, err := a.past(r, at)
		if err == nil {
			fn(past)
		}
		return ans, err
	}
	if err := a.await(r.Context(), query); err != nil {
		return answer{}, err
	}
	ans := answer{Cluster: a.p.Cluster()}
	a.p.View(func(v *projections.Views) {
		fn(v)
		ans.Position, ans.Time = v.Position(), stamp(v.Stored())
	})
	ans.Lag, ans.asOf = a.lagAt(ans.Position), time.Now()
	return ans, nil
}

// momentOf is the time at which the views stand that were asked for: the one that was asked for or, for a position, when the log
// accepted that event.
func momentOf(at projector.At, v *projections.Views) time.Time {
	if at.Position > 0 {
		return v.Stored()
	}
	return at.Time
}

// lagAt is how far behind an answer at position is.
func (a *api) lagAt(position uint64) lag {
	out := a.p.Lag(position)
	return lag{out.Events, out.Seconds}
}

// level is until when the views are known to say everything: the instant that is asked about, without the lag.
func (ans *answer) level() time.Time {
	return ans.asOf.Add(-time.Duration(ans.Lag.Seconds * float64(time.Second)))
}

// frozen returns the views that the request asks for, to be read at leisure: as they are, once min_position and the position
// least are reached, or as of the instant that a parameter names.
func (a *api) frozen(r *http.Request, name string, least uint64) (*projections.Views, answer, error) {
	query := r.URL.Query()
	at, given, err := instant(query, name)
	if err != nil {
		return nil, answer{}, err
	}
	if given {
		return a.past(r, at)
	}
	want, err := position(query, "min_position")
	if err != nil {
		return nil, answer{}, err
	}
	if err := a.waitFor(r.Context(), max(want, least)); err != nil {
		return nil, answer{}, err
	}
	v := a.p.Freeze()
	return v, answer{
		Cluster: a.p.Cluster(), Position: v.Position(), Time: stamp(v.Stored()), Lag: a.lagAt(v.Position()), asOf: time.Now(),
	}, nil
}

// past returns the views as of an instant.
func (a *api) past(r *http.Request, at projector.At) (*projections.Views, answer, error) {
	ctx, cancel := context.WithTimeout(r.Context(), logReadMax)
	defer cancel()
	v, err := a.p.AsOf(ctx, at)
	if err != nil {
		return nil, answer{}, err
	}
	return v, answer{Cluster: a.p.Cluster(), Position: v.Position(), Time: stamp(v.Stored()), asOf: momentOf(at, v)}, nil
}

// await waits for min_position, when it is given.
func (a *api) await(ctx context.Context, query map[string][]string) error {
	want, err := position(query, "min_position")
	if err != nil {
		return err
	}
	return a.waitFor(ctx, want)
}

// waitFor waits until the views are at a position, for a bounded time.
func (a *api) waitFor(ctx context.Context, want uint64) error {
	if want == 0 {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, a.cfg.WaitMax)
	defer cancel()
	err := a.p.WaitFor(waiting, want)
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		return problemf(http.StatusServiceUnavailable, "position-not-reached", "The views are not that far yet",
			"position %d was waited for %v; the views are at %d, the log at %d: try again",
			want, a.cfg.WaitMax, a.p.Position(), a.p.Status().Last).again()
	}
	return err
}

// send answers with a value as JSON.
func send(w http.ResponseWriter, r *http.Request, value any) error {
	var buf bytes.Buffer
	if err := encoderTo(&buf).Encode(value); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	sendJSON(w, r, buf.Bytes())
	return nil
}

// encoderTo writes a value and a line's end.
func encoderTo(buf *bytes.Buffer) *json.Encoder {
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false) // the type says that it is not a page
	return enc
}

// sendJSON answers with what is JSON already.
func sendJSON(w http.ResponseWriter, r *http.Request, raw []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(raw) // a client that is gone needs no answer
	}
}

// serveBytes answers with a file that a client may keep as long as it asks whether it is still the same.
func serveBytes(w http.ResponseWriter, r *http.Request, name string, raw []byte) error {
	sum := sha256.Sum256(raw)
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sum[:12]))
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(raw))
	return nil
}
