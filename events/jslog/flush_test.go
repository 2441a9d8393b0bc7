package jslog_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events/jslog"
)

// asked runs a server whose account of logs may ask how it flushes, which the user "blind" may not.
func asked(t *testing.T, sync string) string {
	t.Helper()
	return run(t, askable(t, sync)).ClientURL()
}

// askable are the options of such a server.
func askable(t *testing.T, sync string) *server.Options {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "server.conf")
	text := fmt.Sprintf(`
listen: "127.0.0.1:-1"
jetstream { store_dir: %q%s }
accounts {
  LOGS {
    jetstream: enabled
    imports: [{ service: { account: SYSTEM, subject: %q } }]
    users: [
      { user: all, password: pw }
      { user: blind, password: pw, permissions { publish { deny: "$SYS.>" } } }
    ]
  }
  SYSTEM { exports: [{ service: %q, response_type: "Stream" }] }
}
system_account: SYSTEM
`, t.TempDir(), sync, jslog.StatsSubject, jslog.StatsSubject)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	opts.NoSigs, opts.NoLog = true, true
	return opts
}

// Of several servers the one that holds the only copy of the stream counts, and not who answers first.
func TestAsksTheServerThatHoldsTheStream(t *testing.T) {
	url, _, _ := strings.Cut(three(t, func(o *server.Options) {
		conf := askable(t, "")
		o.Accounts, o.Users, o.SystemAccount = conf.Accounts, conf.Users, conf.SystemAccount
		o.SyncAlways = o.ServerName != "s2"
		o.Tags = []string{o.ServerName}
	}), ",")
	good, _, _ := made(t)
	_, js := plain(t, as(url, "all"))
	like(t, js, good, "single", func(c *jetstream.StreamConfig) { c.Placement = &jetstream.Placement{Tags: []string{"s2"}} })
	for range 5 {
		line := ready(t, jslog.Config{URL: as(url, "all"), Cluster: "single"})
		if !strings.Contains(line, "level=WARN") || !strings.Contains(line, "s2 flushes every 2m0s") {
			t.Errorf("at the start is logged:\n%s\nwant a warning that s2 flushes every 2m0s", line)
		}
	}
}

func TestSaysWhatAnAcknowledgementIsWorth(t *testing.T) {
	srv := serve(t, t.TempDir(), "127.0.0.1:0")
	silent := run(t, &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	})
	late, always := asked(t, ""), asked(t, "\n sync_interval: always\n")
	for name, c := range map[string]struct {
		cfg   jslog.Config
		level string
		want  string
	}{
		"embedded":                     {jslog.Config{InProcess: srv}, "INFO", "every write is flushed to disk before"},
		"external, which cannot tell":  {jslog.Config{URL: silent.ClientURL()}, "INFO", "which this user cannot ask"},
		"embedded, by another process": {jslog.Config{URL: srv.URL()}, "INFO", "every write is flushed to disk before"},
		"external, not to be asked":    {jslog.Config{URL: as(always, "blind")}, "INFO", "which this user cannot ask"},
		"external, always":             {jslog.Config{URL: as(always, "all")}, "INFO", "every write is flushed to disk before"},
		"external, as it comes":        {jslog.Config{URL: as(late, "all")}, "WARN", "flushes every 2m0s: a power cut takes"},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.Provision = true
			line := ready(t, c.cfg)
			if !strings.Contains(line, "level="+c.level) || !strings.Contains(line, c.want) {
				t.Errorf("at the start is logged:\n%s\nwant level %s and %q", line, c.level, c.want)
			}
		})
	}
}

// ready connects and returns the line that says so.
func ready(t *testing.T, cfg jslog.Config) (line string) {
	t.Helper()
	out := make(lines, 100)
	cfg.Logger = slog.New(slog.NewTextHandler(out, nil))
	connect(t, cfg)
	for !strings.Contains(line, "log ready") {
		select {
		case line = <-out:
		case <-time.After(patience):
			t.Fatal("the log does not say that it is ready")
		}
		if strings.Contains(line, "NATS reports an error") {
			t.Errorf("a question that is not allowed is reported: %s", line)
		}
	}
	return line
}

// lines is a writer of lines to be read one by one.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}
