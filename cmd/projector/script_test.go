package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"rollcall/infra/loopback"
)

// TestMain lets a script run "projector" as a process of its own: this test binary, which then is the program.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"projector": main})
}

type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	status := m.M.Run()
	if err := goleak.Find(); err != nil && status == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

// TestScripts runs testdata/script. In a script, $API is a projector that runs, $ALIEN a server that is none, and nothing
// listens at $FREE.
func TestScripts(t *testing.T) {
	running := start(t, "run", "--data", t.TempDir(), "--http", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0")
	api := "http://" + running.logged("projector is up", "http")
	eventually(t, "ready", func() bool { code, _ := status(t, api+"/readyz"); return code == http.StatusOK })
	alien := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(alien.Close)
	free := loopback.Addr(t)
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector would sleep a second in every process
			env.Setenv("API", api)
			env.Setenv("ALIEN", alien.URL)
			env.Setenv("FREE", free)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"status": exitStatus},
	})
}

// exitStatus is the script command "status N projector …": the command must exit with status N.
func exitStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command [args...]")
	}
	got := 0
	err := ts.Exec(args[1], args[2:]...)
	if exit := interface{ ExitCode() int }(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}
