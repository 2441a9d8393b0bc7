package nats

import (
	"github.com/spf13/pflag"

	"rollcall/events/jslog"
)

// Connection is how a command reaches NATS, as its flags say.
type Connection struct {
	URL   string // of NATS, several separated by commas
	Creds string // credentials file
	NKey  string // file of an nkey's seed
	CA    string // certificates that sign the servers'
}

// ConnectionFlags adds --nats, --creds, --nkey and --nats-ca; usage is that of --nats.
func ConnectionFlags(f *pflag.FlagSet, usage string) *Connection {
	c := &Connection{}
	f.StringVar(&c.URL, "nats", "", usage)
	f.StringVar(&c.Creds, "creds", "", "NATS credentials `FILE`")
	f.StringVar(&c.NKey, "nkey", "", "`FILE` with the seed of the nkey to connect with; member nats config makes one for each user")
	f.StringVar(&c.CA, "nats-ca", "", "certificate `FILE` of the authority that signs the NATS servers; connects over TLS")
	return c
}

// Config returns the connection as a log's configuration; name is shown in the server's list of connections.
func (c *Connection) Config(cluster, name string) jslog.Config {
	return jslog.Config{URL: c.URL, CredsFile: c.Creds, NKeyFile: c.NKey, CAFile: c.CA, Cluster: cluster, Name: name}
}
