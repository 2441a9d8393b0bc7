package events

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// written is a body and the subject that it was found under.
type written struct{ name, subject, body string }

// corpus returns the golden corpus under the subjects that its bodies name.
func corpus(t testing.TB) []written {
	t.Helper()
	names, err := filepath.Glob("testdata/golden/v*/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	var all []written
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.TrimSuffix(body, []byte("\n"))
		env, kind, err := parseEnvelope(body)
		if err != nil {
			t.Fatal(err)
		}
		subject := Subject(Event{
			Kind: kind, Cluster: env.Data.Cluster, Node: env.Data.Node, Group: env.Data.Group, Author: env.Data.Author,
		})
		all = append(all, written{filepath.Base(name), subject, string(body)})
	}
	return all
}

// plainly reads w the short way.
func plainly(t testing.TB, w written) (Recorded, bool) {
	t.Helper()
	named, err := ParseSubject(w.subject)
	if err != nil {
		t.Fatal(err)
	}
	return decodePlain(&named, []byte(w.body), nil)
}

// wantAgreement fails when the short way says something and the long way does not say the same.
func wantAgreement(t *testing.T, subject string, body []byte) (plain bool) {
	t.Helper()
	named, err := ParseSubject(subject)
	if err != nil {
		return false
	}
	got, plain := decodePlain(&named, body, nil)
	var decoder Decoder
	for range 2 { // the second time with tags that are known
		again, also := decodePlain(&named, body, &decoder)
		if also != plain || !reflect.DeepEqual(again, got) {
			t.Fatalf("under %s\n%s\nreads plainly as\n%+v\nand with known tags as\n%+v", subject, body, got, again)
		}
	}
	if !plain {
		return false
	}
	want, err := decodeAny(&named, body)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("under %s\n%s\nreads plainly as\n%+v\nand else as\n%+v, error %v", subject, body, got, want, err)
	}
	return true
}

// What Encode writes is plain, but for what only encoding/json is to read.
func TestCorpusIsPlain(t *testing.T) {
	long := map[string]string{
		"planned.json": "a plan", "planned-nobody.json": "a plan", "planned-full.json": "a plan", "planned-bare.json": "a plan",
		"tagged.json": "a letter that is no ASCII",
	}
	for _, w := range corpus(t) {
		if _, plain := plainly(t, w); plain == (long[w.name] != "") {
			t.Errorf("%s: plain %t (%s)", w.name, plain, long[w.name])
		}
		wantAgreement(t, w.subject, []byte(w.body))
	}
}

// Every change of one byte of what is in the corpus as it is written, and every byte that is missing or too many, reads the same both ways.
func TestPlainAgreesOnEveryByte(t *testing.T) {
	const bytesTried = "\x00\x1f \t\"\\{}[],:.-+0129eEtfnuaZz\x7f\x80\xff"
	var plain, tried int
	try := func(w written, body []byte) {
		tried++
		if wantAgreement(t, w.subject, body) {
			plain++
		}
	}
	for _, w := range corpus(t) {
		if strings.HasSuffix(w.name, "-full.json") || strings.HasSuffix(w.name, "-bare.json") {
			continue // their shapes are among those of the others, and every body costs a tenth of a second
		}
		body := []byte(w.body)
		for i := range body {
			try(w, append(bytes.Clone(body[:i]), body[i+1:]...))
			try(w, bytes.Clone(body[:i]))
			for _, c := range []byte(bytesTried) {
				changed := bytes.Clone(body)
				changed[i] = c
				try(w, changed)
				try(w, append(append(bytes.Clone(body[:i]), c), body[i:]...))
			}
		}
	}
	if plain < tried/50 {
		t.Errorf("%d of %d changed bodies were plain: too few to have compared anything", plain, tried)
	}
}

// What JSON or an event does not allow is not plain, and neither is what has another writing.
func TestNotPlain(t *testing.T) {
	subject := "rollcall.c.node.n1.n2.suspected"
	body := `{"specversion":"1.0","id":"0198c0de-0000-7000-8000-000000000001","source":"/rollcall/c/n2",` +
		`"type":"rollcall.node.suspected.v1","subject":"n1","time":"2026-03-04T05:06:07Z",` +
		`"datacontenttype":"application/json","data":{"cluster":"c","node":"n1","author":"n2","incarnation":1,` +
		`"evidence":{"probes":2,"rtt_ms":-0.5e+3,"x":[1,{},[],true,false,null,"y"]}}}`
	if _, plain := plainly(t, written{subject: subject, body: body}); !plain {
		t.Fatal("the body that is spoiled below is not plain itself")
	}
	for name, change := range map[string][2]string{
		"another author":          {`"author":"n2"`, `"author":"n3"`},
		"another order":           {`"cluster":"c","node":"n1"`, `"node":"n1","cluster":"c"`},
		"another version":         {`.v1`, `.v2`},
		"an extension":            {`"data":`, `"comment":1,"data":`},
		"white space":             {`"data":`, ` "data":`},
		"an escape":               {`"y"`, `"\u0079"`},
		"a letter beyond ASCII":   {`"y"`, `"ü"`},
		"a broken letter":         {`"y"`, "\"\xff\""},
		"a control character":     {`"y"`, "\"\x01\""},
		"a leading zero":          {`"probes":2`, `"probes":02`},
		"a plus sign":             {`"probes":2`, `"probes":+2`},
		"a bare fraction":         {`-0.5`, `-.5`},
		"a fraction cut off":      {`-0.5e`, `-0.e`},
		"an exponent cut off":     {`e+3`, `e+`},
		"a sign alone":            {`-0.5e+3`, `-`},
		"a comma too many":        {`"y"]`, `"y",]`},
		"a comma missing":         {`true,false`, `true false`},
		"a key that is no string": {`"probes":`, `probes:`},
		"an unknown word":         {`null`, `nil`},
		"an array as evidence":    {`{"probes":2,"rtt_ms":-0.5e+3,"x":[1,{},[],true,false,null,"y"]}`, `[]`},
		"evidence nested deep":    {`[]`, strings.Repeat("[", plainDepth) + strings.Repeat("]", plainDepth)},
		"incarnation 0":           {`"incarnation":1`, `"incarnation":0`},
		"incarnation of 65 bits":  {`"incarnation":1`, `"incarnation":18446744073709551616`},
		"an address by another":   {`"incarnation":1`, `"incarnation":1,"address":"127.0.0.1:1"`},
		"no tags":                 {`"incarnation":1`, `"incarnation":1,"tags":{}`},
		"a 13th month":            {`2026-03`, `2026-13`},
		"the 30th of February":    {`2026-03-04`, `2026-02-30`},
		"more after the end":      {`}}}`, `}}} `},
	} {
		if !strings.Contains(body, change[0]) {
			t.Fatalf("%s: the case replaces %q, which is not there", name, change[0])
		}
		spoiled := strings.Replace(body, change[0], change[1], 1)
		if rec, plain := plainly(t, written{subject: subject, body: spoiled}); plain {
			t.Errorf("%s: reads plainly as %+v", name, rec)
		}
	}
}

// FuzzPlain wants the short way to say what the long way says, or nothing.
func FuzzPlain(f *testing.F) {
	for _, w := range corpus(f) {
		f.Add(w.subject, []byte(w.body))
	}
	f.Fuzz(func(t *testing.T, subject string, body []byte) { wantAgreement(t, subject, body) })
}

// An event is read with one allocation for each part of its own: the id, the evidence.
func TestPlainAllocations(t *testing.T) {
	most := map[string]float64{
		"suspected-bare.json": 1, "suspected.json": 2, "accused.json": 2, "failed.json": 2, "health_check_failed.json": 2, "left.json": 2,
	}
	for _, w := range corpus(t) {
		body := []byte(w.body)
		got := testing.AllocsPerRun(100, func() {
			if _, err := Decode(w.subject, body); err != nil {
				t.Fatal(err)
			}
		})
		if limit, counted := most[w.name]; counted && got > limit {
			t.Errorf("%s: %v allocations, want at most %v", w.name, got, limit)
		}
	}
}

// Tags that come again are one map, as long as they are among those that came of late; and no more are held than the bound.
func TestDecoderSharesTags(t *testing.T) {
	var d Decoder
	read := func(version int) map[string]string {
		t.Helper()
		ev := Event{
			ID: NewID(), Kind: Joined, Cluster: "c", Node: "n", Author: "n", Incarnation: 1, Time: time.Now(), Address: "h:1",
			Tags: map[string]string{"version": strconv.Itoa(version)},
		}
		body, err := Encode(ev)
		if err != nil {
			t.Fatal(err)
		}
		rec, err := d.Decode(Subject(ev), body)
		if err != nil || !maps.Equal(rec.Tags, ev.Tags) {
			t.Fatalf("%v, %v", rec.Tags, err)
		}
		return rec.Tags
	}
	same := func(a, b map[string]string) bool { return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer() }
	first, often := read(0), read(1)
	for version := 2; version < 3*tagSetsMax; version++ {
		read(version)
		if version%100 == 0 && !same(read(1), often) {
			t.Fatalf("what was asked for of late is forgotten at %d", version)
		}
		if held := len(d.young) + len(d.old); held > tagSetsMax {
			t.Fatalf("%d sets held, at most %d", held, tagSetsMax)
		}
	}
	if same(read(0), first) {
		t.Error("what was not asked for of late is still held")
	}
}

// Tags that say a key again and again are good, and may be as long as a body: they are not held.
func TestDecoderHoldsNoLongTags(t *testing.T) {
	var d Decoder
	ev := Event{
		ID: NewID(), Kind: Joined, Cluster: "c", Node: "n", Author: "n", Incarnation: 1, Time: time.Now(), Address: "h:1", Tags: map[string]string{"k": ""},
	}
	body, err := Encode(ev)
	if err != nil {
		t.Fatal(err)
	}
	long := bytes.Replace(body, []byte(`"k":""`), []byte(strings.Repeat(`"k":"",`, 5000)+`"k":"17"`), 1)
	rec, err := d.Decode(Subject(ev), long)
	if err != nil || rec.Tags["k"] != "17" || len(d.young) > 0 {
		t.Errorf("%v, %v, %d held", rec.Tags, err, len(d.young))
	}
	full := make(map[string]string)
	for i := range TagsMax {
		full[fmt.Sprintf("%08d", i)] = "12345678"
	}
	ev.Tags = full
	if body, err = Encode(ev); err != nil {
		t.Fatal(err)
	}
	if rec, err := d.Decode(Subject(ev), body); err != nil || len(rec.Tags) != TagsMax || len(d.young) != 1 {
		t.Errorf("%v, %v, %d held: the most that tags may be is held", rec.Tags, err, len(d.young))
	}
}

// Tags that are out of bounds are not shared: what is wrong with them is said each time.
func TestDecoderRefusesTagsAgain(t *testing.T) {
	var d Decoder
	ev := Event{
		ID: NewID(), Kind: Joined, Cluster: "c", Node: "n", Author: "n", Incarnation: 1, Time: time.Now(), Address: "h:1",
		Tags: map[string]string{"k": strings.Repeat("v", TagValueMax)},
	}
	body, err := Encode(ev)
	if err != nil {
		t.Fatal(err)
	}
	body = bytes.Replace(body, []byte(`"k":"`), []byte(`"k":"v`), 1)
	for range 2 {
		if _, err := d.Decode(Subject(ev), body); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "at most 256") {
			t.Errorf("%v", err)
		}
	}
}
