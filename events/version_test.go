package events

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// The corpus has every version that can be read, and every version of the corpus can be.
func TestEveryVersionHasItsCorpus(t *testing.T) {
	folders, err := os.ReadDir("testdata/golden")
	if err != nil {
		t.Fatal(err)
	}
	var kept []version
	for _, f := range folders {
		kept = append(kept, version(f.Name()))
	}
	if known := slices.Sorted(maps.Keys(readers)); !slices.Equal(kept, known) {
		t.Errorf("the corpus has %v, there are readers of %v", kept, known)
	}
	if readers[current] == nil {
		t.Errorf("%s is written, and nothing reads it", current)
	}
}

// An event of an older version reads as one of this version, and whoever does not know a version stops at it. The older one
// is made up: there is none yet.
func TestOlderVersionsAreRead(t *testing.T) {
	body := `{"specversion":"1.0","id":"0198c0de-0000-7000-8000-000000000001","source":"/rollcall/c/n1",` +
		`"type":"rollcall.node.joined.v0","subject":"n1","time":"2026-03-04T05:06:07Z","data":{"cluster":"c",` +
		`"node":"n1","author":"n1","life":3,"host":"10.0.0.1","port":7946}}`
	const subject = "rollcall.c.node.n1.n1.joined"
	if _, err := Decode(subject, []byte(body)); !errors.Is(err, ErrUnknownKind) {
		t.Fatalf("without a reader: %v", err)
	}
	readers["v0"] = func(data []byte) (payload, error) {
		var old struct {
			payload
			Life uint64
			Host string
			Port json.Number
		}
		err := json.Unmarshal(data, &old)
		p := old.payload
		p.Incarnation, p.Address = old.Life, old.Host+":"+old.Port.String()
		return p, err
	}
	t.Cleanup(func() { delete(readers, "v0") })
	rec, err := Decode(subject, []byte(body))
	if err != nil || rec.Incarnation != 3 || rec.Address != "10.0.0.1:7946" || rec.Mismatch != "" {
		t.Errorf("read %+v, error %v", rec, err)
	}
	broken := strings.Replace(body, `"life":3`, `"life":"three"`, 1)
	if _, err := Decode(subject, []byte(broken)); !errors.Is(err, ErrInvalid) {
		t.Errorf("data that its version does not allow: %v", err)
	}
	again, err := Encode(rec.Event)
	if err != nil || !strings.Contains(string(again), `"type":"rollcall.node.joined.`+string(current)+`"`) {
		t.Errorf("written again as %s, error %v", again, err)
	}
}
