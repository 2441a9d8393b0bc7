package nats

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"rollcall/events"
	"rollcall/events/jslog"
)

const (
	modeSecret = 0o600
	modePublic = 0o644
)

// CAFile is the certificate that clients know the servers by, below Config.Dir.
var CAFile = filepath.Join("tls", "ca.pem")

// ServerFile is the configuration of server number n, from 1, below Config.Dir.
func ServerFile(n int) string { return serverName(n) + ".conf" }

func serverName(n int) string { return fmt.Sprintf("rollcall-%d", n) }

// Generate writes everything the servers of cfg need, and returns the paths of what was written, in order. What is kept of
// an earlier run, the authority and the seeds, is not among them. It fails with [ErrConfig] before anything is written.
func Generate(cfg Config, now time.Time) (written []string, err error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Path == "" {
		if cfg.Path, err = filepath.Abs(cfg.Dir); err != nil {
			return nil, err
		}
	}
	put := func(name string, data []byte, mode os.FileMode) error {
		file := filepath.Join(cfg.Dir, name)
		written = append(written, file)
		return write(file, data, mode)
	}
	users, system, err := cfg.users()
	if err != nil {
		return nil, err
	}
	for _, u := range append(users, system) {
		if u.fresh {
			written = append(written, filepath.Join(cfg.Dir, u.file))
		}
	}
	if err := cfg.issue(put, now); err != nil {
		return written, err
	}
	if err := put("users.conf", render(usersText, map[string]any{
		"Account": events.StreamName(cfg.Cluster), "Users": users, "System": system, "Stats": jslog.StatsSubject,
	}), modePublic); err != nil {
		return written, err
	}
	for i := range cfg.Servers {
		if err := put(ServerFile(i+1), cfg.server(i), modePublic); err != nil {
			return written, err
		}
	}
	return written, nil
}

// issue writes the certificates: each server's, and the authority's if there is none yet.
func (cfg Config) issue(put func(string, []byte, os.FileMode) error, now time.Time) error {
	ca, err := openAuthority(cfg.Dir, cfg.Cluster, put, now)
	if err != nil {
		return fmt.Errorf("authority of the servers: %w", err)
	}
	for i, s := range cfg.Servers {
		cert, key, err := ca.issue(serverName(i+1), s.Host, now)
		if err != nil {
			return fmt.Errorf("certificate of %s: %w", serverName(i+1), err)
		}
		name := filepath.Join("tls", serverName(i+1))
		if err := errors.Join(put(name+".pem", cert, modePublic), put(name+"-key.pem", key, modeSecret)); err != nil {
			return err
		}
	}
	return nil
}

// server is the configuration of server i, from 0.
func (cfg Config) server(i int) []byte {
	self := cfg.Servers[i]
	var routes []string
	for j, other := range cfg.Servers {
		if j != i {
			routes = append(routes, "tls://"+other.routeAddress())
		}
	}
	return render(serverText, map[string]any{
		"Name": serverName(i + 1), "Listen": self.address(), "RouteListen": self.routeAddress(), "Routes": routes,
		"Cluster": "rollcall-" + cfg.Cluster, "TLS": path.Join(filepath.ToSlash(cfg.Path), "tls"),
		"Store": path.Join(filepath.ToSlash(cfg.Store), serverName(i+1)),
	})
}

// The format is that of nats-server; strings in it are quoted as in Go.
var (
	serverText = parse(`# {{.Name}}: made by "member nats config", which writes it again.
server_name: {{printf "%q" .Name}}
listen: {{printf "%q" .Listen}}
tls {
  cert_file: {{printf "%q" (print .TLS "/" .Name ".pem")}}
  key_file: {{printf "%q" (print .TLS "/" .Name "-key.pem")}}
}
jetstream {
  store_dir: {{printf "%q" .Store}}
  sync_interval: always # what was acknowledged is on disk
}
{{- if .Routes}}
cluster {
  name: {{printf "%q" .Cluster}}
  listen: {{printf "%q" .RouteListen}}
  tls {
    cert_file: {{printf "%q" (print .TLS "/" .Name ".pem")}}
    key_file: {{printf "%q" (print .TLS "/" .Name "-key.pem")}}
    ca_file: {{printf "%q" (print .TLS "/ca.pem")}}
    verify: true # nobody but the other servers has such a certificate
  }
  routes: [{{range .Routes}}
    {{printf "%q" .}}{{end}}
  ]
}
{{- end}}
include "users.conf"
`)
	usersText = parse(`# Who may do what: made by "member nats config", which writes it again.
accounts {
  {{.Account}} {
    jetstream: enabled
    imports: [{ service: { account: SYSTEM, subject: {{printf "%q" .Stats}} } }] # how the servers flush
    users: [{{range .Users}}
      { # {{.Name}}
        nkey: {{.NKey}}
        permissions {
          publish { allow: [{{range .May.Publish}}
            {{printf "%q" .}}{{end}}
          ]{{if .May.Deny}}, deny: [{{range .May.Deny}}
            {{printf "%q" .}}{{end}}
          ]{{end}} }
          subscribe { allow: [{{range .May.Subscribe}}
            {{printf "%q" .}}{{end}}
          ] }
        }
      }{{end}}
    ]
  }
  SYSTEM {
    exports: [{ service: {{printf "%q" .Stats}}, response_type: "Stream", accounts: [{{.Account}}] }]
    users: [{ nkey: {{.System.NKey}} }] # {{.System.Name}}
  }
}
system_account: SYSTEM
`)
)

func parse(text string) *template.Template { return template.Must(template.New("").Parse(text)) }

func render(t *template.Template, data any) []byte {
	var out bytes.Buffer
	if err := t.Execute(&out, data); err != nil {
		panic(fmt.Sprintf("nats: template: %v", err)) // the templates are ours, and every field is there
	}
	return out.Bytes()
}

// write puts data into file in one step: a server that reads it meanwhile finds the old or the new.
func write(file string, data []byte, mode os.FileMode) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, "."+strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))+"-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	err = errors.Join(err, temp.Chmod(mode), temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}
