package httpapi

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"rollcall/projections/projector"
	"rollcall/projections/web"
)

// StreamsMax is how many event streams are open at once.
const StreamsMax = 4096

// What Config leaves open.
const (
	DefaultHeartbeat   = 10 * time.Second
	DefaultWaitMax     = 5 * time.Second
	DefaultClientStall = 10 * time.Second
)

// bodyMax bounds the body of a request, in bytes.
const bodyMax = 64 << 10

// Config says what to serve. Projector is required.
type Config struct {
	Projector   *projector.Projector
	Version     string        // of the program, shown in /v1/projections
	Dev         DevControl    // nil: there are no /dev routes
	Metrics     http.Handler  // served at /metrics; nil: not found
	Logger      *slog.Logger  // nil: nothing is logged
	Heartbeat   time.Duration // between two comments on a silent stream; 0: DefaultHeartbeat
	WaitMax     time.Duration // how long min_position is waited for; 0: DefaultWaitMax
	Streams     int           // how many are open at once; 0: StreamsMax
	ClientStall time.Duration // how long a stream's client may take nothing before it is cut off; 0: DefaultClientStall
}

// ErrConfig says that a field of Config is missing or out of its bounds.
var ErrConfig = errors.New("httpapi config")

type api struct {
	cfg     Config
	p       *projector.Projector
	log     *slog.Logger
	streams chan struct{} // one token an open stream
	turns   turns
	frames  frames
}

// route is one method on one path.
type route struct {
	method  string
	pattern string   // of http.ServeMux, without the method
	params  []string // query parameters it takes
	serve   func(w http.ResponseWriter, r *http.Request) error
}

func (a *api) routes() []route {
	filter := []string{"status", "tag", "at", "min_position"}
	routes := []route{
		{"GET", "/v1/nodes", filter, a.nodes},
		{"GET", "/v1/nodes/{id}", []string{"at", "min_position"}, a.node},
		{"GET", "/v1/nodes/{id}/history", []string{"at", "from", "to", "min_position"}, a.history},
		{"GET", "/v1/services", filter, a.services},
		{"GET", "/v1/pick", []string{"tag", "status", "strategy", "key", "at", "min_position"}, a.pick},
		{"GET", "/v1/diff", []string{"from", "to"}, a.diff},
		{"GET", "/v1/report", []string{"from", "to", "min_position"}, a.report},
		{"GET", "/v1/assignments", []string{"at", "min_position"}, a.assignmentGroups},
		{"GET", "/v1/assignments/{group}", []string{"at", "min_position", "without", "with"}, a.assignmentGroup},
		{"GET", "/v1/events", []string{"from", "node", "group", "author", "kind", "limit", "min_position"}, a.events},
		{"GET", "/v1/events/stream", []string{"from", "node", "group", "author", "kind", "log"}, a.stream},
		{"GET", "/v1/projections", nil, a.projections},
		{"POST", "/v1/projections/{name}/{action}", nil, a.control},
		{"GET", "/sd/prometheus", []string{"tag", "status"}, a.prometheus},
		{"GET", "/livez", nil, a.livez},
		{"GET", "/readyz", nil, a.readyz},
		{"GET", "/openapi.json", nil, a.openapi},
		{"GET", "/{$}", nil, a.page},
		{"GET", "/web/{file}", nil, a.page},
	}
	if a.cfg.Metrics != nil {
		routes = append(routes, route{"GET", "/metrics", []string{"name[]"}, a.metrics})
	}
	if a.cfg.Dev != nil {
		routes = append(routes,
			route{"POST", "/dev/nodes/{id}/{action}", nil, a.devNode},
			route{"POST", "/dev/partition", nil, a.devPartition})
	}
	return routes
}

// New returns the handler of everything the package comment names.
func New(cfg Config) (http.Handler, error) {
	switch {
	case cfg.Projector == nil:
		return nil, fmt.Errorf("%w: Projector is missing", ErrConfig)
	case cfg.Heartbeat < 0 || cfg.WaitMax < 0 || cfg.ClientStall < 0 || cfg.Streams < 0:
		return nil, fmt.Errorf("%w: Heartbeat %v, WaitMax %v, ClientStall %v and Streams %d must not be below 0",
			ErrConfig, cfg.Heartbeat, cfg.WaitMax, cfg.ClientStall, cfg.Streams)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = DefaultHeartbeat
	}
	if cfg.WaitMax == 0 {
		cfg.WaitMax = DefaultWaitMax
	}
	if cfg.ClientStall == 0 {
		cfg.ClientStall = DefaultClientStall
	}
	if cfg.Streams == 0 {
		cfg.Streams = StreamsMax
	}
	a := &api{cfg: cfg, p: cfg.Projector, log: cfg.Logger, streams: make(chan struct{}, cfg.Streams)}
	mux := http.NewServeMux()
	for _, rt := range a.routes() {
		mux.Handle(rt.pattern, a.endpoint(rt))
	}
	mux.Handle("/", a.endpoint(route{serve: func(_ http.ResponseWriter, r *http.Request) error {
		return problemf(http.StatusNotFound, "no-such-route", "Nothing is served here",
			"there is no %.200s; /openapi.json lists what there is", r.URL.Path)
	}}))
	return mux, nil
}

// endpoint checks what every route has in common, then serves.
func (a *api) endpoint(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if err := a.admit(w, r, rt); err != nil {
			a.fail(w, r, err)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bodyMax)
		if err := rt.serve(w, r); err != nil {
			a.fail(w, r, err)
		}
	})
}

func (a *api) admit(w http.ResponseWriter, r *http.Request, rt route) error {
	if rt.method == "" {
		return nil
	}
	allow := []string{rt.method}
	if rt.method == http.MethodGet {
		allow = append(allow, http.MethodHead)
	}
	if !slices.Contains(allow, r.Method) {
		w.Header().Set("Allow", strings.Join(allow, ", "))
		return problemf(http.StatusMethodNotAllowed, "method-not-allowed", "This method is not served here",
			"%.200s takes %s, not %.20s", r.URL.Path, strings.Join(allow, " and "), r.Method)
	}
	return checkParams(r, rt.params)
}

// page serves the files of package web.
func (a *api) page(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("file")
	if name == "" {
		name = "index.html"
	}
	if info, err := fs.Stat(web.Files(), name); err != nil || info.IsDir() {
		return problemf(http.StatusNotFound, "no-such-route", "Nothing is served here", "the page has no file %.80q", name)
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Security-Policy", web.Policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	raw, err := fs.ReadFile(web.Files(), name)
	if err != nil {
		return fmt.Errorf("read the page: %w", err)
	}
	return serveBytes(w, r, name, raw)
}

func (a *api) metrics(w http.ResponseWriter, r *http.Request) error {
	a.cfg.Metrics.ServeHTTP(w, r)
	return nil
}
