package events_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"rollcall/events"
)

// The corpus is what was once written, for ever: a change here that is not a new file breaks old logs.
var update = flag.Bool("update", false, "write those files of testdata/golden that are not there, from the values in corpus_test.go")

const goldenDir = "testdata/golden/v1"

func TestGoldenCorpus(t *testing.T) {
	want := goldens()
	if *update {
		writeAbsent(t, goldenDir, want)
	}
	files, err := os.ReadDir(goldenDir)
	if err != nil {
		t.Fatal(err)
	}
	kinds := make(map[events.Kind]bool)
	for _, file := range files {
		t.Run(file.Name(), func(t *testing.T) {
			ev, ok := want[file.Name()]
			if !ok {
				t.Fatal("in the corpus, but the test has no value for it")
			}
			kinds[ev.Kind] = true
			body, err := os.ReadFile(filepath.Join(goldenDir, file.Name()))
			if err != nil {
				t.Fatal(err)
			}
			body = bytes.TrimSuffix(body, []byte("\n"))
			rec, err := events.Decode(events.Subject(ev), body)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(rec, events.Recorded{Event: ev}) {
				t.Errorf("decodes to\n%+v\nwant\n%+v", rec, ev)
			}
			if again := mustEncode(t, rec.Event); !bytes.Equal(again, body) {
				t.Errorf("encodes again to\n%s\nwant\n%s", again, body)
			}
			evidence, err := events.ParseEvidence(rec.Evidence)
			if err != nil || !bytes.Equal(evidence.Raw(), rec.Evidence) {
				t.Errorf("evidence %s reads as %+v, error %v", rec.Evidence, evidence, err)
			}
		})
	}
	if len(files) != len(want) {
		t.Errorf("%d files in the corpus, %d values in the test: run with -update", len(files), len(want))
	}
	for _, kind := range slices.Concat(events.Kinds(), events.GroupKinds()) {
		if !kinds[kind] {
			t.Errorf("no %s in the corpus", kind)
		}
	}
}

// writeAbsent adds to a corpus what it has no file for. What was once written stays as it was.
func writeAbsent(t *testing.T, dir string, corpus map[string]events.Event) {
	t.Helper()
	for name, ev := range corpus {
		file, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = file.Write(append(mustEncode(t, ev), '\n'))
		if err = errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCorpusIsAddedToAndNeverRewritten(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "left-bare.json")
	if err := os.WriteFile(old, []byte("as once written"), 0o644); err != nil {
		t.Fatal(err)
	}
	want := goldens()
	writeAbsent(t, dir, want)
	if body, err := os.ReadFile(old); err != nil || string(body) != "as once written" {
		t.Errorf("what was there is now %s, error %v", body, err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != len(want) {
		t.Errorf("%d files, want %d; error %v", len(files), len(want), err)
	}
	body, err := os.ReadFile(filepath.Join(dir, "left.json"))
	if err != nil || !bytes.Equal(body, append(mustEncode(t, want["left.json"]), '\n')) {
		t.Errorf("what was absent is now %s, error %v", body, err)
	}
}

// FuzzDecode wants no panic, nothing over the bounds, and that what was read and is its author's to say can be written and
// read again to the same event.
func FuzzDecode(f *testing.F) {
	for _, ev := range goldens() {
		f.Add(events.Subject(ev), mustEncode(f, ev))
	}
	bare := events.Subject(claim(events.Suspected, "n1", "n2", 1))
	f.Add(bare, []byte(`{"specversion":"1.0","type":"rollcall.node.suspected.v2","data":7}`))
	f.Add(bare, []byte(`{"specversion":"1.0","id":"`+testID+`","type":"rollcall.node.suspected.v1","time":"2026-03-04T05:06:07Z","data":{"incarnation":1}}`))
	f.Add("rollcall.c.group.g.n1.assigned", []byte(`{}`))
	f.Add(bare, []byte(strings.Repeat("[", 20_000)))
	f.Fuzz(func(t *testing.T, subject string, body []byte) {
		rec, err := events.Decode(subject, body)
		if err != nil {
			return
		}
		if events.Subject(rec.Event) != subject {
			t.Fatalf("event is of subject %q, was under %q", events.Subject(rec.Event), subject)
		}
		if err := events.ValidateTags(rec.Tags); err != nil || len(rec.Evidence) > events.EvidenceMax {
			t.Fatalf("over the bounds: %v, evidence of %d bytes", err, len(rec.Evidence))
		}
		if rec.Mismatch != "" {
			return
		}
		again, err := events.Encode(rec.Event)
		if err != nil {
			if rec.Kind.OfGroup() || rec.Kind.ByOwner() == (rec.Author == rec.Node) {
				t.Fatalf("does not encode again: %v", err)
			}
			return
		}
		second, err := events.Decode(subject, again)
		if err != nil {
			t.Fatalf("does not decode again: %v", err)
		}
		rec.Evidence, second.Evidence = compact(t, rec.Evidence), compact(t, second.Evidence)
		if len(rec.Tags) == 0 {
			rec.Tags = nil // an empty object is the same as none
		}
		if !reflect.DeepEqual(rec, second) {
			t.Fatalf("read %+v, then %+v", rec, second)
		}
	})
}

func compact(t *testing.T, raw json.RawMessage) json.RawMessage {
	t.Helper()
	if raw == nil {
		return nil
	}
	var buf bytes.Buffer
	if err := json.Compact(&buf, raw); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func BenchmarkEncode(b *testing.B) {
	ev := goldens()["suspected.json"]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := events.Encode(ev); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	ev := goldens()["suspected.json"]
	subject, body := events.Subject(ev), mustEncode(b, ev)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := events.Decode(subject, body); err != nil {
			b.Fatal(err)
		}
	}
}
