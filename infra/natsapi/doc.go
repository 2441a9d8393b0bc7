// Package natsapi answers who is on the roll over NATS, as a NATS micro service: for whoever has a connection to NATS and
// no way to the HTTP API.
//
//	s, err := natsapi.New(natsapi.Config{Projector: p, Conn: log.Conn, Handler: handler, Version: version})
//	go s.Run(ctx)
//
//	nats micro info rollcall-default
//	nats req svc.rollcall.default.nodes ''
//	nats req svc.rollcall.default.pick '{"tag":"role=worker","strategy":"round_robin"}'
//
// The service of a cluster is named [Name]; its endpoints are nodes, services and pick, at [Subject]. PING, INFO and STATS are
// answered below $SRV as the protocol of NATS services has them. A request is empty, or a JSON object of query parameters: a string,
// a number, or a list of them. An answer is, byte for byte, what the HTTP API answers at /v1/nodes, /v1/services or /v1/pick; an
// error has the headers Nats-Service-Error and Nats-Service-Error-Code, and the HTTP API's problem as its body.
//
// Any number of projectors may serve one cluster: they share one queue group, and each request goes to one of them. A projector
// takes part while its views are ready, so a request that nobody answers ("no responders") says that no projector is.
//
// Limits: an answer must fit what the server takes as one message, 1 MiB unless it is set otherwise; one that does not is an
// error with code 413, and narrower questions or HTTP are the way out. Nothing here waits: at and min_position are HTTP's. A
// request may have RequestMax bytes, and RequestsMax may wait at an endpoint; more are dropped, and their senders time out. Whoever may
// publish to the subjects may ask: permissions of NATS are the access control. Those of the projector's user are
// jslog.ProjectorPermissions; it answers at inboxes and not wherever a request says (allow_responses), which could be the log.
package natsapi
