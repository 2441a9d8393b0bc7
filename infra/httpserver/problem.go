package httpserver

import (
	"encoding/json"
	"net/http"
)

// Problem is an error as RFC 9457 writes it. Its type is a name that never changes; title and detail are for people.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// NewProblem returns the problem of a name, such as "bad-body".
func NewProblem(status int, name, title, detail string) Problem {
	return Problem{Type: "urn:rollcall:problem:" + name, Title: title, Status: status, Detail: detail}
}

// Write answers with the problem.
func (p Problem) Write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // a client that is gone needs no answer
}
