package jslog_test

import (
	"testing"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/events/logtest"
)

func TestLogOnOneServer(t *testing.T) {
	logtest.Run(t, func(t *testing.T, cluster string) events.Log {
		srv := serve(t, t.TempDir(), "")
		return connect(t, jslog.Config{InProcess: srv, Cluster: cluster, Name: "logtest", Provision: true})
	})
}
