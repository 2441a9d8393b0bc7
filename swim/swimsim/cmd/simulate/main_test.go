package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"rollcall/swim/swimsim"
)

// The document has every row that the command would make, with the command that makes it, and no other.
func TestDocumentHasEveryRow(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/detection.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, sc := range swimsim.Scenarios() {
		_, table, _ := strings.Cut(string(text), "<!-- table "+sc.Name+" -->")
		table, _, _ = strings.Cut(table, "<!-- end "+sc.Name+" -->")
		all := setups(sc)
		for _, s := range all {
			if command := sc.Command(s, 2000, seedsOf(sc, s)); !strings.Contains(table, "`"+command+"`") {
				t.Errorf("table %s: no row of %q; make them again: simulate tables -into docs/detection.md %s", sc.Name, command, sc.Name)
			}
		}
		if rows := strings.Count(table, "`simulate "); rows != len(all) {
			t.Errorf("table %s: %d rows, want %d", sc.Name, rows, len(all))
		}
	}
}

func TestReplaceTable(t *testing.T) {
	text := "before\n<!-- table a -->\nold\n<!-- end a -->\nafter\n"
	got, err := replaceTable(text, "a", "new\n")
	if want := "before\n<!-- table a -->\nnew\n<!-- end a -->\nafter\n"; got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := replaceTable(text, "b", ""); err == nil {
		t.Error("a document without the marks was taken")
	}
}

// A row's command makes that row again, to the digit.
func TestCommandsRun(t *testing.T) {
	args := strings.Fields("crash -n 8 -strategy rings -log=true -first 7 -seeds 2")
	var rows [2]string
	for i := range rows {
		var out bytes.Buffer
		if err := run(args, &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		rows[i] = out.String()
	}
	if rows[0] != rows[1] || !strings.Contains(rows[0], "`simulate "+strings.Join(args, " ")+"`") {
		t.Errorf("%v gives\n%s\nand\n%s", args, rows[0], rows[1])
	}
	var out bytes.Buffer
	if err := run([]string{"check", "-first", "1", "-seeds", "3"}, &out, io.Discard); err != nil || !strings.HasPrefix(out.String(), "3 seeds from 1: ") {
		t.Errorf("check: %q, %v", out.String(), err)
	}
	for _, bad := range [][]string{nil, {"nonsense"}, {"crash", "-strategy", "other"}} {
		if err := run(bad, io.Discard, io.Discard); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}
