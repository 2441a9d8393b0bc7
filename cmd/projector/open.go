package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/cli"
	"rollcall/infra/nats"
	"rollcall/infra/natsd"
)

// natsDir is where the embedded server keeps its files, in --data.
const natsDir = "nats"

// logFlags say which log a command looks at: one that is served, or one at rest in a directory.
type logFlags struct {
	cluster string
	nats    *nats.Connection
	data    string
}

func newLogFlags(f *pflag.FlagSet) *logFlags {
	l := &logFlags{}
	f.StringVar(&l.cluster, "cluster", "default", "`NAME` of the cluster")
	l.nats = nats.ConnectionFlags(f, "`URL` of NATS, several separated by commas")
	f.StringVar(&l.data, "data", "", "`DIR` of a projector with an embedded server that is not running now")
	return l
}

// open opens the log for reading. What it returns beside it ends what was started for that.
func (l *logFlags) open(ctx context.Context, log *slog.Logger) (*jslog.Log, func(), error) {
	switch {
	case !events.ValidID(l.cluster):
		return nil, nil, cli.Errorf(cli.ErrUsage, "--cluster %q: want 1 to %d of A-Z a-z 0-9 _ -", l.cluster, events.IDMax)
	case (l.nats.URL == "") == (l.data == ""):
		return nil, nil, cli.Errorf(cli.ErrUsage, "name the log with either --nats or --data")
	}
	config := l.nats.Config(l.cluster, "projector")
	config.Logger = log
	end := func() {}
	if l.data != "" {
		server, err := l.embedded(ctx, log)
		if err != nil {
			return nil, nil, err
		}
		config.InProcess, end = server, server.Shutdown
	}
	reader, err := jslog.Connect(ctx, config)
	if err != nil {
		end()
		return nil, nil, err
	}
	return reader, func() { reader.Close(); end() }, nil
}

// embedded starts the server in --data, without a listener. It makes nothing that is not there.
func (l *logFlags) embedded(ctx context.Context, log *slog.Logger) (*natsd.Server, error) {
	dir := filepath.Join(l.data, natsDir)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, cli.Errorf(cli.ErrNotFound, "--data %s holds no log of an embedded server: %w", l.data, err)
	}
	server, err := natsd.Start(ctx, natsd.Config{Dir: dir, Logger: log})
	if errors.Is(err, natsd.ErrLocked) {
		return nil, fmt.Errorf("%w: read the log of a projector that is running with --nats", err)
	}
	return server, err
}
