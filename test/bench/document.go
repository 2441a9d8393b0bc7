package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// A table stands in a document between two lines that only its source shows; the first names the number of members.
const tableEnd = "<!-- end of the table -->"

func tableBegin(members int) string { return fmt.Sprintf("<!-- table of %d members -->", members) }

// intoDocument puts the table for so many members into the document, in place of the one that is there.
func intoDocument(name string, members int, table []byte) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, rest, found := bytes.Cut(text, []byte(tableBegin(members)))
	_, after, ended := bytes.Cut(rest, []byte(tableEnd))
	if !found || !ended {
		return fmt.Errorf("%s has no place for the table: put a line %q and a line %q there", name, tableBegin(members), tableEnd)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s%s\n\n", before, tableBegin(members))
	for line := range strings.Lines(string(table)) {
		fmt.Fprintf(&out, "    %s\n", strings.TrimRight(line, " \n"))
	}
	fmt.Fprintf(&out, "\n%s%s", tableEnd, after)
	return os.WriteFile(name, out.Bytes(), 0o644)
}
