package natsd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/spf13/pflag"
)

// Errors of an Access.
var (
	ErrNotLoopback = errors.New("it can be reached from other machines") // and TLS or users are missing
	ErrAccess      = errors.New("TLS needs a certificate and its key")
	ErrUsers       = errors.New("not a file of users")
)

// Access is who may connect over TCP, and how. The zero value lets every process of this machine in, in clear text.
type Access struct {
	CertFile  string // certificate chain, PEM; with KeyFile: the listener speaks TLS. Both are read again for each connection.
	KeyFile   string
	UsersFile string // users.conf of package infra/nats: its users may connect, each with the permissions there
}

// AccessFlags adds --nats-cert, --nats-key and --nats-users to f; the values are there once the flags are parsed.
func AccessFlags(f *pflag.FlagSet) *Access {
	a := &Access{}
	f.StringVar(&a.CertFile, "nats-cert", "", "certificate `FILE` of --nats-listen, which then speaks TLS; read again for each connection")
	f.StringVar(&a.KeyFile, "nats-key", "", "key `FILE` of --nats-cert")
	f.StringVar(&a.UsersFile, "nats-users", "", "let only the users in this `FILE` in at --nats-listen, users.conf of member nats config")
	return a
}

// Check refuses what is not HOST:PORT, with ErrAccess half of a key pair, and with ErrNotLoopback an address beyond loopback where
// TLS or the users are missing. It names the flags that are.
func (a Access) Check(address string) error {
	host, _, err := split(address)
	if err != nil {
		return err
	}
	if (a.CertFile == "") != (a.KeyFile == "") {
		return fmt.Errorf("%w: give both --nats-cert and --nats-key, or neither", ErrAccess)
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		return nil
	}
	var missing []string
	if a.CertFile == "" {
		missing = append(missing, "--nats-cert", "--nats-key")
	}
	if a.UsersFile == "" {
		missing = append(missing, "--nats-users")
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w, which takes TLS and users: give %s (member nats config makes them), or listen at 127.0.0.1",
		address, ErrNotLoopback, strings.Join(missing, " "))
}

// split reads HOST:PORT as the server has it: localhost is an address, and no port is a port.
func split(address string) (host string, port int, err error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("%q: want HOST:PORT: %w", address, err)
	}
	number, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%q: its port must be a number up to 65535: %w", address, err)
	}
	if port = int(number); port == 0 {
		port = server.RANDOM_PORT
	}
	switch host {
	case "":
		host = "0.0.0.0"
	case "localhost":
		host = "127.0.0.1"
	}
	return host, port, nil
}

// secure makes TLS and users of a part of opts.
func (a Access) secure(opts *server.Options) error {
	if a.CertFile != "" {
		if _, err := tls.LoadX509KeyPair(a.CertFile, a.KeyFile); err != nil {
			return fmt.Errorf("--nats-cert %s and --nats-key %s: %w", a.CertFile, a.KeyFile, err)
		}
		opts.TLSConfig = &tls.Config{
			MinVersion: tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				pair, err := tls.LoadX509KeyPair(a.CertFile, a.KeyFile)
				return &pair, err
			},
		}
	}
	if a.UsersFile == "" {
		return nil
	}
	if err := users(a.UsersFile, opts); err != nil {
		return fmt.Errorf("--nats-users %s: %w", a.UsersFile, err)
	}
	return nil
}

// users takes the users of a file, but for those of its system account. They are of one account, and belong to the server's one
// account from here on, the same as that of a server without users, so that what is stored stays theirs. Each must name what it
// may publish and what it may subscribe to: to the server no list is every subject.
func users(file string, opts *server.Options) error {
	found, err := server.ProcessConfigFile(file)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsers, err)
	}
	accounts := make(map[string]bool)
	for _, user := range found.Nkeys {
		account := ""
		if user.Account != nil {
			account = user.Account.Name
		}
		if account != "" && account == found.SystemAccount {
			continue
		}
		accounts[account] = true
		p := user.Permissions
		switch {
		case p == nil || unbounded(p.Publish) && unbounded(p.Subscribe):
			return fmt.Errorf("%w: user %s may do everything", ErrUsers, user.Nkey)
		case unbounded(p.Publish):
			return fmt.Errorf("%w: user %s may publish anything: permissions { publish { allow: [...] } } names what it may", ErrUsers, user.Nkey)
		case unbounded(p.Subscribe):
			return fmt.Errorf("%w: user %s may read anything: permissions { subscribe { allow: [...] } } names what it may", ErrUsers, user.Nkey)
		case p.Response != nil:
			return fmt.Errorf("%w: user %s has allow_responses: who asks it can have it write into the log", ErrUsers, user.Nkey)
		}
		if i := slices.IndexFunc(p.Publish.Allow, forAnybody); i >= 0 {
			return fmt.Errorf("%w: user %s may speak as anybody: %s names no author", ErrUsers, user.Nkey, p.Publish.Allow[i])
		}
		user.Account = nil
		opts.Nkeys = append(opts.Nkeys, user)
	}
	switch {
	case len(found.Users) > 0 || found.Username != "" || found.Authorization != "":
		return fmt.Errorf("%w: it has passwords or a token; users are nkeys", ErrUsers)
	case len(opts.Nkeys) == 0:
		return fmt.Errorf("%w: it has none", ErrUsers)
	case len(accounts) > 1:
		return fmt.Errorf("%w: they are of %d accounts, and the embedded server has one", ErrUsers, len(accounts))
	}
	return nil
}

// unbounded reports whether a user is let do everything that is not denied, or nearly.
func unbounded(p *server.SubjectPermission) bool {
	return p == nil || len(p.Allow) == 0 || slices.ContainsFunc(p.Allow, func(subject string) bool {
		return strings.HasPrefix(subject, "*") || strings.HasPrefix(subject, ">")
	})
}

// forAnybody reports whether subject is of events, and leaves open who says them.
func forAnybody(subject string) bool {
	const author = 4 // its place in rollcall.<cluster>.node.<node>.<author>.<kind>, and in that of a group
	tokens := strings.Split(subject, ".")
	open := slices.Index(tokens, ">")
	return tokens[0] == "rollcall" && (open >= 0 && open <= author || len(tokens) > author && tokens[author] == "*")
}

// ownUser is who this process is to a server with users: a key that nobody else has, good for connections from within.
type ownUser struct {
	public string
	pair   nkeys.KeyPair
}

func newOwnUser(opts *server.Options) (*ownUser, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	public, err := pair.PublicKey()
	if err != nil {
		return nil, err
	}
	opts.Nkeys = append(opts.Nkeys, &server.NkeyUser{
		Nkey: public, AllowedConnectionTypes: map[string]struct{}{"IN_PROCESS": {}},
	})
	return &ownUser{public, pair}, nil
}
