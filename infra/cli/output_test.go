package cli_test

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/spf13/pflag"

	"rollcall/infra/cli"
)

func TestTable(t *testing.T) {
	var out bytes.Buffer
	table := cli.NewTable(&out, "ID", "STATE", "TAGS")
	table.Row("n1", "alive", "")
	table.Row("größer", "suspect", "role=web")
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	table.Row("n2", "failed", "a\nforged row")
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "" +
		"ID       STATE     TAGS\n" +
		"n1       alive     -\n" +
		"größer   suspect   role=web\n" +
		"n2       failed    a\\nforged row\n"
	if out.String() != want {
		t.Errorf("got:\n%swant:\n%s", out.String(), want)
	}
}

func TestOutputFlag(t *testing.T) {
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	out := cli.OutputFlag(fs)
	if *out != cli.OutputTable {
		t.Errorf("default %q", *out)
	}
	if err := fs.Parse([]string{"-o", "wide"}); err != nil || *out != cli.OutputWide {
		t.Errorf("-o wide: %q, %v", *out, err)
	}
	if err := fs.Parse([]string{"--output=xml"}); err == nil || *out != cli.OutputWide {
		t.Errorf("--output=xml: %q, %v", *out, err)
	}
}

func TestLoggingFlags(t *testing.T) {
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	logging := cli.LoggingFlags(fs, slog.LevelInfo)
	if err := fs.Parse([]string{"--log-level=warn", "--log-format=json"}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	logger := logging.Logger(&out)
	logger.Info("not shown")
	if out.Len() != 0 {
		t.Errorf("info is shown at warn: %s", out.String())
	}
	logger.Warn("shown")
	if !bytes.HasPrefix(out.Bytes(), []byte(`{"time":`)) {
		t.Errorf("not JSON: %s", out.String())
	}
	if err := fs.Parse([]string{"--log-level=loud"}); err == nil {
		t.Error("--log-level=loud: no error")
	}
}
