package projections_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"regexp"
	"strconv"
	"testing"

	"rollcall/projections"
)

const formatDocument = "../docs/formats/snapshot.md"

// everything has a value in each field of a state: unread words, accusers, evidence, who cannot reach n1, tags, a plan.
const everything = `
joined n1 by n1 at 1 addr=127.0.0.1:7001 role=web zone=a
joined n2 by n2 at 1
joined n3 by n3 at 1
joined n4 by n4 at 1
suspected n1 by n3 at 1 ev.reason=timeout
accused n1 by n4 at 1
refuted n1 by n1 at 2
suspected n4 by n2 at 1 ev.reason=timeout
plan g by n2 seen 8 bound 2 n1=s0 n3=s1 selector=role move=:new:s0,s1
reject n3 not JSON
`

// What the document of the format says of each part is what is written: its name, its version, its place.
func TestFormatDocumentNamesThePartsThatAreWritten(t *testing.T) {
	document, err := os.ReadFile(formatDocument)
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([a-z]+)` \\| ([0-9]+) \\|").FindAllStringSubmatch(string(document), -1)
	parts := projections.Parts()
	if len(rows) != len(parts) {
		t.Fatalf("%s has %d parts, written are %d", formatDocument, len(rows), len(parts))
	}
	for i, want := range parts {
		if rows[i][1] != want.Name || rows[i][2] != strconv.Itoa(want.Version) {
			t.Errorf("%s, part %d: %s, version %s; written is %s, version %d",
				formatDocument, i+1, rows[i][1], rows[i][2], want.Name, want.Version)
		}
	}
}

// Another fold or layout is another version: who changes what is written of a part raises its version, says in the document
// what the part holds now, and puts the new sum here.
func TestLayoutOfAVersionStaysTheSame(t *testing.T) {
	s := &script{t: t, views: projections.New("test")}
	s.run(everything)
	sums := s.views.Sums()
	if g, ok := s.views.Assignments.Group("g"); !ok || len(g.Shards) != 2 {
		t.Fatalf("the plan was not taken: %+v", g)
	}
	if err := s.views.Skip("n3"); err != nil {
		t.Fatal(err)
	}
	s.run("reject n3 not JSON again")
	layouts := map[string]string{}
	for _, part := range projections.Parts() {
		sum, ok := sums[part.Name]
		if !ok { // skips is the last part, and in no sum of its own
			sum = sha256.Sum256(s.views.Encode())
		}
		layouts[part.Name] = strconv.Itoa(part.Version) + " " + hex.EncodeToString(sum[:6])
	}
	for name, want := range map[string]string{
		"fold": "4 ebaf84f399d4", "registry": "4 a9d86e05b4ed", "timeline": "3 cc86600dea3a", "assignments": "1 9dd65ce3c260", "skips": "1 5dd6c4a86c58",
	} {
		if got := layouts[name]; got != want {
			t.Errorf("%s is version and sum %q, was %q: raise the version, and say in %s what it holds now",
				name, got, want, formatDocument)
		}
	}
}
