package natsapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"rollcall/infra/httpserver"
)

// endpoint is one question, answered by GET /v1/<name>.
type endpoint struct {
	name   string
	params []string // what the route takes, but what it would wait for
}

var endpoints = []endpoint{
	{"nodes", []string{"status", "tag"}},
	{"services", []string{"status", "tag"}},
	{"pick", []string{"key", "status", "strategy", "tag"}},
}

// handler answers the requests at one endpoint, one after another.
func (s *Service) handler(conn *nats.Conn, e endpoint) micro.Handler {
	return micro.HandlerFunc(func(request micro.Request) {
		err := s.answer(conn, e, request)
		if err != nil { // the connection broke: the client asks again
			s.log.Debug("NATS service: not answered", "subject", request.Subject(), "error", err)
		}
	})
}

func (s *Service) answer(conn *nats.Conn, e endpoint, request micro.Request) error {
	query, err := e.query(request.Data())
	if err != nil {
		return refuse(request, http.StatusBadRequest, "bad-parameter", "The request cannot be read", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestLimit)
	defer cancel()
	asked, err := http.NewRequestWithContext(ctx, http.MethodGet, "/v1/"+e.name+"?"+query.Encode(), nil)
	if err != nil {
		return refuse(request, http.StatusBadRequest, "bad-parameter", "The request cannot be read", err)
	}
	var got page
	s.cfg.Handler.ServeHTTP(&got, asked)
	body := bytes.TrimRight(got.body.Bytes(), "\n")
	switch limit := conn.MaxPayload(); {
	case got.status != http.StatusOK:
		return request.Error(strconv.Itoa(got.status), title(got), body)
	case int64(len(body)) > limit:
		return refuse(request, http.StatusRequestEntityTooLarge, "too-large", "The answer is too large for NATS",
			fmt.Errorf("it has %d bytes and a message may have %d: narrow it with status or tag, or ask over HTTP", len(body), limit))
	}
	return request.Respond(body)
}

// query reads a request as the query of the route.
func (e endpoint) query(data []byte) (url.Values, error) {
	query := url.Values{}
	switch data = bytes.TrimSpace(data); {
	case len(data) == 0:
		return query, nil
	case len(data) > RequestMax:
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", len(data), RequestMax)
	}
	var params map[string]any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&params); err != nil || dec.More() {
		return nil, errors.New(`want nothing, or a JSON object of parameters such as {"tag":["role=worker"]}`)
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if !slices.Contains(e.params, name) {
			return nil, fmt.Errorf("%.80q is not a parameter; %s takes %s", name, e.name, strings.Join(e.params, ", "))
		}
		list, isList := params[name].([]any)
		if !isList {
			list = []any{params[name]}
		}
		for _, value := range list {
			switch value := value.(type) {
			case string:
				query.Add(name, value)
			case json.Number:
				query.Add(name, value.String())
			default:
				return nil, fmt.Errorf("%s: want a string, a number or a list of them", name)
			}
		}
	}
	return query, nil
}

// refuse answers with a problem of our own.
func refuse(request micro.Request, status int, name, title string, err error) error {
	body, merr := json.Marshal(httpserver.NewProblem(status, name, title, err.Error()))
	if merr != nil {
		return merr
	}
	return request.Error(strconv.Itoa(status), title, body)
}

// title is what an answer that is a problem calls itself.
func title(got page) string {
	var problem httpserver.Problem
	if json.Unmarshal(got.body.Bytes(), &problem) == nil && problem.Title != "" {
		return problem.Title
	}
	return http.StatusText(got.status)
}

// page is an answer in memory, an http.ResponseWriter.
type page struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (p *page) Header() http.Header {
	if p.header == nil {
		p.header = make(http.Header)
	}
	return p.header
}

func (p *page) WriteHeader(status int) {
	if p.status == 0 {
		p.status = status
	}
}

func (p *page) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	return p.body.Write(b)
}
