package nats

import (
	"errors"
	"fmt"
	"net"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"rollcall/events"
)

// Ports of a server that names none.
const (
	PortDefault      = 4222
	RoutePortDefault = 6222
)

// serversMax is how many servers a stream can have copies on.
const serversMax = 5

// ErrConfig says that a [Config] cannot be one. Nothing was written.
var ErrConfig = errors.New("no configuration of NATS servers")

// Config says for whom to write what.
type Config struct {
	Cluster    string   // whose log it is
	Members    []string // ids; at least one
	Directors  []string // those of the members that may direct assignment groups
	Readers    []string // names of those who do not speak: projectors, services
	Projectors []string // those of the readers that may show in NATS what follows from the log
	Servers    []Server // one, or three to five of which most are needed for an append
	Dir        string   // where the files are written; made if it is not there
	Path       string   // where Dir will lie on the servers, if not where it is
	Store      string   // directory on each server for the log; every server has its own in it, by its name
}

// Server is one NATS server. It listens at Host alone, which is in its certificate.
type Server struct {
	Host      string // a name or an address
	Port      int    // for clients; 4222 when 0
	RoutePort int    // for the other servers; 6222 when 0
}

// ParseServer reads HOST, HOST:PORT or HOST:PORT:ROUTEPORT. An IPv6 address stands in brackets.
func ParseServer(text string) (Server, error) {
	fail := func() (Server, error) {
		return Server{}, fmt.Errorf("%w: server %.200q: want HOST, HOST:PORT or HOST:PORT:ROUTEPORT", ErrConfig, text)
	}
	var host, rest string
	if inner, ok := strings.CutPrefix(text, "["); ok {
		host, rest, ok = strings.Cut(inner, "]")
		if !ok || net.ParseIP(host) == nil {
			return fail()
		}
		rest = strings.TrimPrefix(rest, ":")
	} else {
		host, rest, _ = strings.Cut(text, ":")
	}
	s := Server{Host: host}
	client, route, _ := strings.Cut(rest, ":")
	for _, p := range []struct {
		text string
		to   *int
	}{{client, &s.Port}, {route, &s.RoutePort}} {
		if p.text == "" {
			continue
		}
		n, err := strconv.ParseUint(p.text, 10, 16)
		if err != nil || n == 0 {
			return fail()
		}
		*p.to = int(n)
	}
	if !validHost(s.Host) {
		return fail()
	}
	return s, nil
}

func validHost(s string) bool {
	return net.ParseIP(s) != nil || s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.'
	})
}

// address is where the server listens for clients, routeAddress for other servers.
func (s Server) address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

func (s Server) routeAddress() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.RoutePort)) }

// URL is what clients connect to: all servers, comma separated. The form is that of the flag --nats.
func (cfg Config) URL() string {
	var urls []string
	for _, s := range cfg.withDefaults().Servers {
		urls = append(urls, "tls://"+s.address())
	}
	return strings.Join(urls, ",")
}

func (cfg Config) withDefaults() Config {
	cfg.Servers = slices.Clone(cfg.Servers)
	for i := range cfg.Servers {
		s := &cfg.Servers[i]
		if s.Port == 0 {
			s.Port = PortDefault
		}
		if s.RoutePort == 0 {
			s.RoutePort = RoutePortDefault
		}
	}
	return cfg
}

func (cfg Config) validate() error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(format, args...))
	}
	switch {
	case !events.ValidID(cfg.Cluster):
		return fail("cluster %.80q: want 1 to %d of A-Z a-z 0-9 _ -", cfg.Cluster, events.IDMax)
	case len(cfg.Members) == 0:
		return fail("no members: each needs a user")
	case len(cfg.Servers) != 1 && (len(cfg.Servers) < 3 || len(cfg.Servers) > serversMax):
		return fail("%d servers: want one, or 3 to %d, since most of them must be there for an append", len(cfg.Servers), serversMax)
	case cfg.Dir == "":
		return fail("no directory to write to")
	case !filepath.IsAbs(cfg.Store) && !path.IsAbs(cfg.Store):
		return fail("store %q: want the absolute path of a directory on the servers", cfg.Store)
	}
	for what, names := range map[string][]string{
		"member": cfg.Members, "director": cfg.Directors, "reader": cfg.Readers, "projector": cfg.Projectors,
	} {
		for i, name := range names {
			if !events.ValidID(name) {
				return fail("%s %.80q: want 1 to %d of A-Z a-z 0-9 _ -", what, name, events.IDMax)
			}
			if slices.Contains(names[:i], name) {
				return fail("%s %s is named twice", what, name)
			}
		}
	}
	for _, name := range cfg.Directors {
		if !slices.Contains(cfg.Members, name) {
			return fail("director %s is not among the members", name)
		}
	}
	for _, name := range cfg.Projectors {
		if !slices.Contains(cfg.Readers, name) {
			return fail("projector %s is not among the readers", name)
		}
	}
	return cfg.validateServers()
}

func (cfg Config) validateServers() error {
	taken := make(map[string]bool)
	for _, s := range cfg.Servers {
		if !validHost(s.Host) {
			return fmt.Errorf("%w: server %.200q: no name or address of a host", ErrConfig, s.Host)
		}
		for _, address := range []string{s.address(), s.routeAddress()} {
			if taken[address] {
				return fmt.Errorf("%w: %s is named twice", ErrConfig, address)
			}
			taken[address] = true
		}
	}
	return nil
}
