package events_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"rollcall/events"
)

const testID = "0198c0de-0000-7000-8000-000000000001"

var testTime = time.Date(2026, 3, 4, 5, 6, 7, 890_000_000, time.UTC)

// claim returns a valid event.
func claim(kind events.Kind, node, author string, incarnation uint64) events.Event {
	ev := events.Event{
		ID: testID, Kind: kind, Cluster: "c", Node: node, Author: author, Time: testTime, Incarnation: incarnation,
	}
	if kind == events.Joined {
		ev.Address = "10.0.0.1:7946"
	}
	return ev
}

func mustEncode(t testing.TB, ev events.Event) []byte {
	t.Helper()
	body, err := events.Encode(ev)
	if err != nil {
		t.Fatalf("encode %s: %v", ev.Kind, err)
	}
	return body
}

func TestEncodeIsTheContract(t *testing.T) {
	ev := claim(events.Joined, "n1", "n1", 3)
	ev.Time = testTime.In(time.FixedZone("east", 3600))
	ev.Tags = map[string]string{"b": "<&>", "a": ""}
	ev.Evidence = json.RawMessage(` {"reason": "start"} `)
	ev.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	want := `{"specversion":"1.0","id":"` + testID + `","source":"/rollcall/c/n1","type":"rollcall.node.joined.v1",` +
		`"subject":"n1","time":"2026-03-04T05:06:07.89Z","datacontenttype":"application/json",` +
		`"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",` +
		`"data":{"cluster":"c","node":"n1","author":"n1","incarnation":3,"address":"10.0.0.1:7946",` +
		`"tags":{"a":"","b":"<&>"},"evidence":{"reason":"start"}}}`
	if got := string(mustEncode(t, ev)); got != want {
		t.Errorf("encoded\n%s\nwant\n%s", got, want)
	}
}

func TestEncodeRefuses(t *testing.T) {
	tags := func(n int, key, value string) map[string]string {
		m := make(map[string]string)
		for i := range n {
			m[key+strings.Repeat("i", i)] = value
		}
		return m
	}
	for name, spoil := range map[string]func(*events.Event){
		"id of another form":       func(ev *events.Event) { ev.ID = strings.ToUpper("0198c0de-0000-7000-8000-00000000000f") },
		"id too short":             func(ev *events.Event) { ev.ID = testID[1:] },
		"kind":                     func(ev *events.Event) { ev.Kind = "resurrected" },
		"cluster":                  func(ev *events.Event) { ev.Cluster = "" },
		"node":                     func(ev *events.Event) { ev.Node, ev.Author = "*", "*" },
		"author":                   func(ev *events.Event) { ev.Author = strings.Repeat("a", events.IDMax+1) },
		"owner kind by another":    func(ev *events.Event) { ev.Author = "n2" },
		"observer kind by itself":  func(ev *events.Event) { ev.Kind, ev.Address = events.Suspected, "" },
		"address of observer kind": func(ev *events.Event) { ev.Kind, ev.Author = events.Suspected, "n2" },
		"tags of observer kind": func(ev *events.Event) {
			ev.Kind, ev.Author, ev.Address, ev.Tags = events.Failed, "n2", "", tags(1, "k", "v")
		},
		"no time":                func(ev *events.Event) { ev.Time = time.Time{} },
		"time of no RFC 3339":    func(ev *events.Event) { ev.Time = testTime.AddDate(10_000, 0, 0) },
		"incarnation 0":          func(ev *events.Event) { ev.Incarnation = 0 },
		"joined at no address":   func(ev *events.Event) { ev.Address = "" },
		"too many tags":          func(ev *events.Event) { ev.Tags = tags(events.TagsMax+1, "", "") },
		"empty key":              func(ev *events.Event) { ev.Tags = tags(1, "", "v") },
		"key too long":           func(ev *events.Event) { ev.Tags = tags(1, strings.Repeat("k", events.TagKeyMax+1), "") },
		"value too long":         func(ev *events.Event) { ev.Tags = tags(1, "k", strings.Repeat("v", events.TagValueMax+1)) },
		"tags too long in all":   func(ev *events.Event) { ev.Tags = tags(3, "k", strings.Repeat("v", 200)) },
		"tag that is no UTF-8":   func(ev *events.Event) { ev.Tags = tags(1, "k", "\xff") },
		"evidence of a string":   func(ev *events.Event) { ev.Evidence = json.RawMessage(`"{"`) },
		"evidence cut off":       func(ev *events.Event) { ev.Evidence = json.RawMessage(`{"a":`) },
		"two pieces of evidence": func(ev *events.Event) { ev.Evidence = json.RawMessage(`{}{}`) },
		"evidence not UTF-8":     func(ev *events.Event) { ev.Evidence = json.RawMessage("{\"a\":\"\xff\"}") },
		"evidence too long": func(ev *events.Event) {
			ev.Evidence = json.RawMessage(`{"a":"` + strings.Repeat("x", events.EvidenceMax) + `"}`)
		},
		"traceparent": func(ev *events.Event) { ev.TraceParent = "00-abc" },
	} {
		t.Run(name, func(t *testing.T) {
			ev := claim(events.Joined, "n1", "n1", 1)
			spoil(&ev)
			if body, err := events.Encode(ev); !errors.Is(err, events.ErrInvalid) || body != nil {
				t.Errorf("encode gives %q, error %v; want ErrInvalid", body, err)
			}
		})
	}
}

func TestValidateAddress(t *testing.T) {
	for _, good := range []string{"127.0.0.1:1", "[::1]:65535", "[fe80::1%eth0]:7946", "n1.example:7946", "member_1-a:80"} {
		if err := events.ValidateAddress(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "n1", ":7946", "n1:", "n1:0", "n1:65536", "n1:-1", "n1:http", "::1:7946", "[::1:7946", "[127.0.0.1]:7946", "[]:1",
		"a b:1", "a/b:1", "é:1", strings.Repeat("a", events.AddressMax) + ":1",
	} {
		if err := events.ValidateAddress(bad); !errors.Is(err, events.ErrInvalid) {
			t.Errorf("%q: error %v, want ErrInvalid", bad, err)
		}
	}
}

func TestSubjects(t *testing.T) {
	ev := claim(events.HealthCheckFailed, "n-1", "N_2", 1)
	subject := events.Subject(ev)
	if want := "rollcall.c.node.n-1.N_2.health_check_failed"; subject != want {
		t.Fatalf("subject %q, want %q", subject, want)
	}
	for _, want := range []events.Event{ev, plan("g_1", "n1")} {
		got, err := events.ParseSubject(events.Subject(want))
		named := events.Event{
			Cluster: want.Cluster, Node: want.Node, Group: want.Group, Author: want.Author, Kind: want.Kind,
		}
		if err != nil || !reflect.DeepEqual(got, named) {
			t.Errorf("parsed %+v, error %v; want %+v", got, err, named)
		}
	}
	if got := events.Subject(plan("g_1", "n1")); got != "rollcall.c.group.g_1.n1.planned" {
		t.Errorf("subject of a group's event: %q", got)
	}
	if got := events.Expectation(plan("g_1", "n1")); got != "rollcall.c.group.g_1.>" || got != events.GroupFilter("c", "g_1") {
		t.Errorf("expectation of a group's event: %q", got)
	}
	if got := events.Expectation(ev); got != "rollcall.c.node.n-1.>" {
		t.Errorf("expectation of a node's event: %q", got)
	}
	if got := events.NodeFilter("c", "n1"); got != "rollcall.c.node.n1.>" {
		t.Errorf("node filter %q", got)
	}
	if got := events.ClusterFilter("c"); got != "rollcall.c.>" {
		t.Errorf("cluster filter %q", got)
	}
	if got := events.StreamName("c"); got != "ROLLCALL_c" {
		t.Errorf("stream name %q", got)
	}
	for subject, want := range map[string]error{
		"rollcall.c.group.g1.n1.assigned":         events.ErrUnknownKind,
		"rollcall.c.group.g1.n1.joined":           events.ErrUnknownKind,
		"rollcall.c.node.n1.n1.planned":           events.ErrUnknownKind,
		"rollcall.c.group.g1":                     events.ErrInvalid,
		"rollcall.c.node.n1.n2.resurrected":       events.ErrUnknownKind,
		"":                                        events.ErrInvalid,
		"rollcall.c.node.n1.n2":                   events.ErrInvalid,
		"rollcall.c.node.n1.n2.failed.more":       events.ErrInvalid,
		"rollcall.c.node..n2.failed":              events.ErrInvalid,
		"rollcall.c.nodes.n1.n2.failed":           events.ErrInvalid,
		"live.rollcall.c.node.n1.n2.failed":       events.ErrInvalid,
		"rollcall.c.node.*.n2.failed":             events.ErrInvalid,
		strings.Repeat("rollcall.", 100) + "node": events.ErrInvalid,
	} {
		if _, err := events.ParseSubject(subject); !errors.Is(err, want) {
			t.Errorf("%q: error %v, want %v", subject, err, want)
		}
	}
	if ev, _ := events.ParseSubject("rollcall.c.node.n1.n2.resurrected"); ev.Node != "n1" || ev.Author != "n2" ||
		ev.Kind != "resurrected" {
		t.Errorf("of an unknown kind the rest is %+v", ev)
	}
}

func TestDecodeTakesTheSubjectsWord(t *testing.T) {
	body := string(mustEncode(t, claim(events.Suspected, "n1", "n2", 1)))
	for name, c := range map[string]struct{ subject, from, to string }{
		"kind":      {"rollcall.c.node.n1.n2.failed", "", ""},
		"cluster":   {"rollcall.d.node.n1.n2.suspected", "", ""},
		"node":      {"rollcall.c.node.n3.n2.suspected", "", ""},
		"author":    {"rollcall.c.node.n1.n3.suspected", "", ""},
		"data":      {"rollcall.c.node.n1.n2.suspected", `"node":"n1"`, `"node":""`},
		"attribute": {"rollcall.c.node.n1.n2.suspected", `"subject":"n1"`, `"subject":"n9"`},
		"source":    {"rollcall.c.node.n1.n2.suspected", `/rollcall/c/n2`, `/rollcall/c/n2/`},
	} {
		t.Run(name, func(t *testing.T) {
			rec, err := events.Decode(c.subject, []byte(strings.Replace(body, c.from, c.to, 1)))
			if err != nil {
				t.Fatal(err)
			}
			if rec.Mismatch == "" {
				t.Error("no mismatch")
			}
			if got := events.Subject(rec.Event); got != c.subject {
				t.Errorf("event says %q, the subject %q", got, c.subject)
			}
		})
	}
}

func TestDecodeTolerates(t *testing.T) {
	want := claim(events.Suspected, "n1", "n2", 1)
	subject, body := events.Subject(want), string(mustEncode(t, want))
	for name, change := range map[string][2]string{
		"unknown attribute":    {`{"spec`, `{"comment":{"x":[1]},"spec`},
		"unknown field":        {`"cluster"`, `"mood":null,"cluster"`},
		"null evidence":        {`"cluster"`, `"evidence":null,"cluster"`},
		"no content type":      {`"datacontenttype":"application/json",`, ``},
		"broken trace context": {`"data"`, `"traceparent":"00-abc","data"`},
		"time elsewhere":       {`05:06:07.89Z`, `07:06:07.89+02:00`},
		"white space":          {`,"data":`, " ,\n\t\"data\": "},
	} {
		rec, err := events.Decode(subject, []byte(strings.Replace(body, change[0], change[1], 1)))
		if err != nil || !reflect.DeepEqual(rec, events.Recorded{Event: want}) {
			t.Errorf("%s: decoded %+v, error %v; want %+v", name, rec, err, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	ev := claim(events.Suspected, "n1", "n2", 1)
	subject, body := events.Subject(ev), string(mustEncode(t, ev))
	for name, c := range map[string]struct {
		from, to string
		want     error
	}{
		"unknown kind":            {"node.suspected.v1", "node.resurrected.v1", events.ErrUnknownKind},
		"newer version":           {"suspected.v1", "suspected.v2", events.ErrUnknownKind},
		"newer version and shape": {`suspected.v1","subject":"n1"`, `suspected.v2","subject":["n1"]`, events.ErrUnknownKind},
		"other type":              {"rollcall.node.", "elsewhere.node.", events.ErrUnknownKind},
		"no type":                 {`"type":"rollcall.node.suspected.v1",`, ``, events.ErrInvalid},
		"specversion":             {`"1.0"`, `"0.3"`, events.ErrInvalid},
		"id":                      {testID, "42", events.ErrInvalid},
		"no time":                 {`"time":"2026-03-04T05:06:07.89Z",`, ``, events.ErrInvalid},
		"time":                    {`2026-03-04T`, `2026-03-04 `, events.ErrInvalid},
		"content type":            {`"application/json"`, `"application/xml"`, events.ErrInvalid},
		"data in another field":   {`"data":`, `"data_base64":`, events.ErrInvalid},
		"null data":               {body[strings.Index(body, `"data":`):], `"data":null}`, events.ErrInvalid},
		"incarnation 0":           {`"incarnation":1`, `"incarnation":0`, events.ErrInvalid},
		"incarnation below 0":     {`"incarnation":1`, `"incarnation":-1`, events.ErrInvalid},
		"incarnation over 64 bit": {`"incarnation":1`, `"incarnation":18446744073709551616`, events.ErrInvalid},
		"evidence of an array":    {`"cluster"`, `"evidence":[],"cluster"`, events.ErrInvalid},
		"observer gives tags":     {`"cluster"`, `"tags":{"a":"b"},"cluster"`, events.ErrInvalid},
		"more after the end":      {`}}`, `}}{}`, events.ErrInvalid},
		"no JSON":                 {body, `hello`, events.ErrInvalid},
		"nothing":                 {body, ``, events.ErrInvalid},
		"too long":                {`,"data"`, strings.Repeat(" ", events.BodyMax) + `,"data"`, events.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(body, c.from) {
				t.Fatalf("the case replaces %q, which is not there", c.from)
			}
			rec, err := events.Decode(subject, []byte(strings.Replace(body, c.from, c.to, 1)))
			if !errors.Is(err, c.want) {
				t.Errorf("decoded %+v, error %v; want %v", rec, err, c.want)
			}
		})
	}
	if _, err := events.Decode("rollcall.c.group.g1.n1.assigned", []byte(body)); !errors.Is(err, events.ErrUnknownKind) {
		t.Errorf("unknown event of a group: error %v", err)
	}
}

// A time that RFC 3339 cannot write in UTC could be read in its own zone and never be written down again.
func TestTimesThatCannotBeWrittenAreRefused(t *testing.T) {
	subject := events.Subject(claim(events.Joined, "n1", "n1", 1))
	body := string(mustEncode(t, claim(events.Joined, "n1", "n1", 1)))
	written := testTime.Format(time.RFC3339Nano)
	for at, fits := range map[string]bool{
		"9999-12-31T23:59:59Z": true, "9999-12-31T23:59:59-01:00": false,
		"0000-01-01T00:00:00Z": true, "0000-01-01T00:00:00+01:00": false,
	} {
		rec, err := events.Decode(subject, []byte(strings.Replace(body, written, at, 1)))
		if fits != (err == nil) || !fits && !errors.Is(err, events.ErrInvalid) {
			t.Errorf("%s: %v", at, err)
		}
		if err != nil {
			continue
		}
		rec.Position = 1
		roll := events.NewRoll("c")
		roll.Apply(rec)
		if _, err := events.LoadRoll("c", roll.Snapshot()); err != nil {
			t.Errorf("%s: snapshot: %v", at, err)
		}
	}
	ev := claim(events.Joined, "n1", "n1", 1)
	ev.Time = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, err := events.Encode(ev); !errors.Is(err, events.ErrInvalid) {
		t.Errorf("encode: %v", err)
	}
}

func TestDecodeSharesNothing(t *testing.T) {
	ev := claim(events.Joined, "n1", "n1", 1)
	ev.Evidence, ev.Tags = json.RawMessage(`{"reason":"start"}`), map[string]string{"role": "worker"}
	body := mustEncode(t, ev)
	rec, err := events.Decode(events.Subject(ev), body)
	if err != nil {
		t.Fatal(err)
	}
	clear(body)
	if !reflect.DeepEqual(rec.Event, ev) {
		t.Errorf("after the body was overwritten the event is %+v, want %+v", rec.Event, ev)
	}
}

func TestNewID(t *testing.T) {
	const n = 1000
	before := ""
	for range n {
		id := events.NewID()
		if id <= before {
			t.Fatalf("id %q after %q", id, before)
		}
		before = id
	}
	ev := claim(events.Left, "n1", "n1", 1)
	ev.ID = before
	mustEncode(t, ev)
}
