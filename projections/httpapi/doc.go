// Package httpapi serves the views of a projector to people and services over HTTP, as openapi.json beside it and
// /openapi.json describe it, and the page of package web at /.
//
//	handler, err := httpapi.New(httpapi.Config{Projector: p, Version: version})
//	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
//
// Every read says how far it saw: cluster, position, the time of that position, and the lag behind the log. A reader that
// knows a position asks for at least that one (min_position), and any read of nodes can be asked as of an earlier position
// or time (at). Errors are problem details (RFC 9457) that say what is wrong, why, and what to do. A query
// parameter that a route does not know is refused: a misspelt filter must not look like an answer.
//
// Services are found by tag expressions (projections.Selector) and picked by a strategy; /sd/prometheus lists them as targets.
// Two instants are compared with /v1/diff, and /v1/report adds up what befell the nodes between them. The views are paused,
// resumed and rebuilt, and a parked node retried or skipped, with POST to /v1/projections.
//
// The event stream sends each position once and in order, resumes from Last-Event-ID, and ends with an event named
// "end" that says why when the server ends it: a projector that stops, or a client too slow to follow.
//
// Limits: who may ask is not asked here, but by what serves the handler: infra/httpserver, with TLS and tokens. At most StreamsMax
// streams are open at once, and whose turn it is is remembered for TurnsMax filters. A POST is answered only when no other site
// can have sent it; the routes under /dev exist only when Config.Dev is set.
package httpapi
