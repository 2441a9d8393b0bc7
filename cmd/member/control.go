package main

import (
	"fmt"
	"net/http"

	"rollcall"
	"rollcall/events/jslog"
)

// memberAPI is what a running member serves about itself.
type memberAPI struct {
	member *rollcall.Member
	events *jslog.Log
}

func (a *memberAPI) handler(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", a.ready)
	mux.Handle("GET /metrics", metrics)
	return mux
}

// ready says whether the member takes part: it has met the others, and can keep what it has to say. A log that is away
// is no reason to be taken out of service; it is said all the same.
func (a *memberAPI) ready(w http.ResponseWriter, _ *http.Request) {
	status := a.member.Status()
	select {
	case <-a.member.Joined():
	default:
		http.Error(w, "not ready: no seed has answered yet", http.StatusServiceUnavailable)
		return
	}
	if status.NotAccepting != nil {
		http.Error(w, "not ready: "+status.NotAccepting.Error(), http.StatusServiceUnavailable)
		return
	}
	if err := a.member.ReadOnly(); err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	if !a.events.Connected() {
		fmt.Fprintf(w, "ok, but the log is away; %d events wait\n", status.Outbox)
		return
	}
	fmt.Fprintln(w, "ok")
}
