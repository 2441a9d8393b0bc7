package memlog_test

import (
	"testing"

	"go.uber.org/goleak"

	"rollcall/events"
	"rollcall/events/logtest"
	"rollcall/events/memlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLog(t *testing.T) {
	logtest.Run(t, func(_ *testing.T, cluster string) events.Log { return memlog.New(cluster) })
}
