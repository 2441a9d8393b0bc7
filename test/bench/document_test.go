package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestIntoDocument: the right table is replaced, again and again, and a document without a place for it is left alone.
func TestIntoDocument(t *testing.T) {
	name := filepath.Join(t.TempDir(), "doc.md")
	text := "text\n\n<!-- table of 16 members -->\nold\n<!-- end of the table -->\n\n" +
		"more\n\n<!-- table of 64 members -->\n<!-- end of the table -->\n\nend\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := intoDocument(name, 64, []byte("a  b  \n1  2\n")); err != nil {
			t.Fatal(err)
		}
	}
	want := "text\n\n<!-- table of 16 members -->\nold\n<!-- end of the table -->\n\n" +
		"more\n\n<!-- table of 64 members -->\n\n    a  b\n    1  2\n\n<!-- end of the table -->\n\nend\n"
	if err := intoDocument(name, 1000, nil); err == nil {
		t.Error("a table went to where there is no place for it")
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != want {
		t.Errorf("%v:\n%s", err, got)
	}
}

// TestDocumentHasItsTables: the commands that docs/bench.md names find their place in it.
func TestDocumentHasItsTables(t *testing.T) {
	text, err := os.ReadFile("../../docs/bench.md")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "bench.md")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, members := range []int{64, 1000} {
		if err := intoDocument(name, members, []byte("x\n")); err != nil {
			t.Error(err)
		}
	}
}
