package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"rollcall"
	"rollcall/events/jslog"
	"rollcall/infra/httpserver"
	"rollcall/swim"
)

const (
	controlBodyMax  = 64 << 10 // bytes of a request
	setTagsPatience = 5 * time.Second
)

// memberAPI is what a running member serves about itself: its health, its figures, its tags, and its departure.
type memberAPI struct {
	member *rollcall.Member
	events *jslog.Log
	left   func() // called when somebody asked the member to leave; may be called again

	tagging sync.Mutex // one change of tags at a time: a change is read, made and written
}

func (a *memberAPI) handler(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", a.ready)
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /v1/tags", a.tags)
	mux.HandleFunc("PUT /v1/tags", guarded(a.replaceTags))
	mux.HandleFunc("POST /v1/tags", guarded(a.changeTags))
	mux.HandleFunc("POST /v1/leave", guarded(a.leave))
	return mux
}

// guarded lets through what no page of another site can have sent.
func guarded(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := httpserver.CheckSameSite(r); err != nil {
			refuse(w, http.StatusForbidden, "cross-site", "Another site may have sent this", err)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, controlBodyMax)
		serve(w, r)
	}
}

// refuse answers with a problem, RFC 9457.
func refuse(w http.ResponseWriter, status int, name, title string, err error) {
	httpserver.NewProblem(status, name, title, err.Error()).Write(w)
}

// memberTags is what the member says of its tags.
type memberTags struct {
	ID   string            `json:"id"`
	Tags map[string]string `json:"tags"`
}

func (a *memberAPI) tags(w http.ResponseWriter, _ *http.Request) {
	tags := a.member.Status().Self.Tags.Map()
	if tags == nil {
		tags = map[string]string{}
	}
	a.answer(w, memberTags{a.member.ID(), tags})
}

func (a *memberAPI) answer(w http.ResponseWriter, value any) { a.answerAs(http.StatusOK, w, value) }

func (a *memberAPI) answerAs(status int, w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a client that is gone needs no answer
}

// replaceTags takes {"tags":{…}}; tags that are missing or null are a mistake, {} removes all.
func (a *memberAPI) replaceTags(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Tags map[string]string `json:"tags"`
	}
	const want = `{"tags":{"role":"web"}}`
	if !readObject(w, r, &body, want) {
		return
	}
	if body.Tags == nil {
		refuse(w, http.StatusBadRequest, "bad-body", "The body names no tags",
			errors.New("want "+want+`, or {"tags":{}} to remove all`))
		return
	}
	a.tagging.Lock()
	defer a.tagging.Unlock()
	a.setTags(w, r, body.Tags)
}

// changeTags takes {"set":{…},"remove":[…]}, and leaves the other tags as they are.
func (a *memberAPI) changeTags(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Set    map[string]string `json:"set"`
		Remove []string          `json:"remove"`
	}
	if !readObject(w, r, &body, `{"set":{"role":"web"},"remove":["draining"]}`) {
		return
	}
	a.tagging.Lock()
	defer a.tagging.Unlock()
	tags := a.member.Status().Self.Tags.Map()
	if tags == nil {
		tags = make(map[string]string)
	}
	for _, key := range body.Remove {
		delete(tags, key)
	}
	maps.Copy(tags, body.Set)
	a.setTags(w, r, tags)
}

// setTags answers 200 when the change is on disk, 202 when the member has it and its disk has not, and 504 when the member does not
// come to it in time: it is then still on its way.
func (a *memberAPI) setTags(w http.ResponseWriter, r *http.Request, tags map[string]string) {
	if err := swim.NewTags(tags).Validate(); err != nil {
		refuse(w, http.StatusBadRequest, "bad-body", "These are no tags that a member may have", err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), setTagsPatience)
	defer cancel()
	untold := a.untold()
	switch err := a.member.SetTags(ctx, tags); {
	case errors.Is(err, rollcall.ErrUnrecorded), err == nil && (untold || a.untold()):
		a.answerAs(http.StatusAccepted, w, memberTags{a.member.ID(), tags})
	case errors.Is(err, context.DeadlineExceeded):
		refuse(w, http.StatusGatewayTimeout, "timeout", "The tags are not changed yet, and may still change", err)
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, "not-set", "The tags cannot be changed", err)
	default:
		a.answer(w, memberTags{a.member.ID(), tags})
	}
}

// untold reports whether the member has its tags to itself: it has not joined, or stays away for a while.
func (a *memberAPI) untold() bool {
	select {
	case <-a.member.Joined():
		return a.member.Status().ReturnsIn > 0
	default:
		return true
	}
}

// leave begins the departure, after which the process ends.
func (a *memberAPI) leave(w http.ResponseWriter, _ *http.Request) {
	a.answer(w, struct {
		ID      string `json:"id"`
		Leaving bool   `json:"leaving"`
	}{a.member.ID(), true})
	a.left()
}

// readObject reads one JSON object without other fields than value's, or answers with a problem and reports false.
func readObject(w http.ResponseWriter, r *http.Request, value any, want string) bool {
	err := httpserver.ReadObject(r, value)
	if err != nil {
		refuse(w, http.StatusBadRequest, "bad-body", "The body cannot be read", fmt.Errorf("%w; want %s", err, want))
	}
	return err == nil
}

// ready says whether the member takes part: it has met the others, can keep what it has to say, and has a log to say it to. A
// log that is away is no reason to be taken out of service; it is said all the same.
func (a *memberAPI) ready(w http.ResponseWriter, _ *http.Request) {
	status := a.member.Status()
	if err := notReady(a.member, status); err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	if !a.events.Connected() {
		fmt.Fprintf(w, "ok, but the log is away; %d events wait\n", status.Outbox)
		return
	}
	fmt.Fprintln(w, "ok")
}

func notReady(member *rollcall.Member, status rollcall.Status) error {
	select {
	case <-member.Joined():
	default:
		return errors.New("no seed has answered yet")
	}
	switch {
	case status.Recorder.Ended != nil:
		return fmt.Errorf("the log is used no more, restart the member: %w", status.Recorder.Ended)
	case status.NotAccepting != nil:
		return status.NotAccepting
	}
	return member.ReadOnly()
}
