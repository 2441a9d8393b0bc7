package rollcall_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"rollcall"
	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/natsd"
	"rollcall/swim"
)

// asyncapi is docs/asyncapi.yaml as what JSON would make of it.
func asyncapi(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile("docs/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return value.(map[string]any)
}

// at follows a path of keys, "channels/node/messages".
func at(t *testing.T, doc map[string]any, path string) map[string]any {
	t.Helper()
	for key := range strings.SplitSeq(path, "/") {
		next, ok := doc[key].(map[string]any)
		if !ok {
			t.Fatalf("docs/asyncapi.yaml has no %s (of %s)", key, path)
		}
		doc = next
	}
	return doc
}

// each calls f for every object in value.
func each(value any, f func(map[string]any)) {
	switch v := value.(type) {
	case map[string]any:
		f(v)
		for _, inner := range v {
			each(inner, f)
		}
	case []any:
		for _, inner := range v {
			each(inner, f)
		}
	}
}

// validators compiles the payload of every message. Strict ones refuse fields that are not described, which a reader
// must not, and a writer need not write.
func validators(t *testing.T, strict bool) map[events.Kind]*jsonschema.Schema {
	t.Helper()
	doc := asyncapi(t)
	if strict {
		each(at(t, doc, "components/schemas"), func(schema map[string]any) {
			if _, ok := schema["properties"].(map[string]any); ok && schema["additionalProperties"] == nil {
				schema["additionalProperties"] = false
			}
		})
	}
	const url = "https://rollcall.invalid/asyncapi.json"
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7) // whose superset AsyncAPI 3 describes payloads with
	compiler.AssertFormat()
	if err := compiler.AddResource(url, doc); err != nil {
		t.Fatal(err)
	}
	all := make(map[events.Kind]*jsonschema.Schema)
	for kind, message := range at(t, doc, "components/messages") {
		ref := at(t, message.(map[string]any), "payload")["$ref"].(string)
		schema, err := compiler.Compile(url + ref)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		all[events.Kind(kind)] = schema
	}
	return all
}

func value(t *testing.T, body []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The description has every kind that the code knows, and nothing else.
func TestAsyncAPIHasTheVocabulary(t *testing.T) {
	doc := asyncapi(t)
	if doc["asyncapi"] != "3.0.0" {
		t.Errorf("asyncapi %v", doc["asyncapi"])
	}
	all := append(events.Kinds(), events.GroupKinds()...)
	for path, want := range map[string][]events.Kind{
		"channels/node/messages": events.Kinds(), "channels/group/messages": events.GroupKinds(),
		"channels/live/messages": all, "components/messages": all,
	} {
		var got []events.Kind
		for kind := range at(t, doc, path) {
			got = append(got, events.Kind(kind))
		}
		slices.Sort(got)
		if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	for _, channel := range []struct {
		name  string
		of    events.Event
		kinds []events.Kind
	}{
		{"node", events.Event{Cluster: "{cluster}", Node: "{node}", Author: "{author}", Kind: "{kind}"}, events.Kinds()},
		{"group", events.Event{Cluster: "{cluster}", Group: "{group}", Author: "{author}", Kind: "{kind}"}, events.GroupKinds()},
	} {
		if got, want := at(t, doc, "channels/"+channel.name)["address"], events.Subject(channel.of); got != want {
			t.Errorf("channel %s has address %v, want %s", channel.name, got, want)
		}
		enum := fmt.Sprint(at(t, doc, "channels/"+channel.name+"/parameters/kind")["enum"])
		if want := fmt.Sprint(channel.kinds); enum != want {
			t.Errorf("kinds of channel %s are %s, want %s", channel.name, enum, want)
		}
	}
	for _, kind := range all {
		message := at(t, doc, "components/messages/"+string(kind))
		constant := at(t, doc, "components/schemas/"+string(kind)+"/properties/type")["const"]
		if want := events.Type(kind); message["name"] != want || constant != want || message["contentType"] != events.ContentType {
			t.Errorf("%s: name %v, type %v, content type %v; want %s and %s",
				kind, message["name"], constant, message["contentType"], want, events.ContentType)
		}
	}
}

// Every reference leads somewhere, and everything described is referred to.
func TestAsyncAPIReferences(t *testing.T) {
	doc := asyncapi(t)
	used := make(map[string]bool)
	each(doc, func(object map[string]any) {
		ref, ok := object["$ref"].(string)
		if !ok {
			return
		}
		used[ref] = true
		if len(object) > 1 {
			t.Errorf("beside %s there is more, which readers pass over: %v", ref, object)
		}
		at(t, doc, strings.TrimPrefix(ref, "#/"))
	})
	for _, part := range []string{"messages", "schemas", "parameters"} {
		for name := range at(t, doc, "components/"+part) {
			if ref := "#/components/" + part + "/" + name; !used[ref] {
				t.Errorf("nothing refers to %s", ref)
			}
		}
	}
}

// The fields of evidence and plans are those of the Go types.
func TestAsyncAPIHasTheFields(t *testing.T) {
	doc := asyncapi(t)
	for _, c := range []struct {
		of      any
		schemas []string
	}{
		{events.Evidence{}, []string{"LifeEvidence", "PartitionEvidence", "HealthEvidence", "AccusationEvidence", "GroupEvidence"}},
		{events.Relay{}, []string{"Relay"}},
		{events.Accuser{}, []string{"Accuser"}},
		{events.Plan{}, []string{"Plan"}},
		{events.Move{}, []string{"Move"}},
	} {
		described := make(map[string]bool)
		for _, name := range c.schemas {
			for field := range at(t, doc, "components/schemas/"+name+"/properties") {
				described[field] = true
			}
		}
		written := make(map[string]bool)
		for field := range reflect.TypeOf(c.of).Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			written[name] = true
		}
		if !maps.Equal(described, written) {
			t.Errorf("%T: described are %v, written are %v", c.of, slices.Sorted(maps.Keys(described)), slices.Sorted(maps.Keys(written)))
		}
	}
}

// The corpus of everything ever written conforms, and so do the messages of a running cluster.
func TestAsyncAPIDescribesTheCorpus(t *testing.T) {
	all := validators(t, true)
	files, err := filepath.Glob("events/testdata/golden/v1/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".json"), "-")
		if err := all[events.Kind(kind)].Validate(value(t, body)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// What is described is not just anything.
func TestAsyncAPIRefuses(t *testing.T) {
	strict, open := validators(t, true), validators(t, false)
	for name, c := range map[string]struct {
		file         string
		before, with string
		fine         bool // for a reader, who passes over what it does not know
	}{
		"another type":         {"joined", "rollcall.node.joined.v1", "rollcall.node.joined.v2", false},
		"no address":           {"joined", `"address":"`, `"nowhere":"`, false},
		"incarnation 0":        {"joined", `"incarnation":2`, `"incarnation":0`, false},
		"incarnation in words": {"joined", `"incarnation":2`, `"incarnation":"2"`, false},
		"a tag that is none":   {"joined", `"role":"worker"`, `"role":7`, false},
		"a time of no day":     {"left", "2026-03-04T05", "2026-13-04T05", false},
		"an id in capitals":    {"left", "0198c0de", "0198C0DE", false},
		"an answer of no kind": {"suspected", `"answer":"nack"`, `"answer":"perhaps"`, false},
		"a node of no kind":    {"suspected", `"node":"n3"`, `"node":"n.3"`, false},
		"a field of tomorrow":  {"suspected", `"incarnation":2`, `"incarnation":2,"mood":"low"`, true},
		"shards twice":         {"planned", `["s0","s3"]`, `["s0","s0"]`, false},
		"an empty reason":      {"planned", `"reason":"n3 failed"`, `"reason":""`, false},
	} {
		body, err := os.ReadFile("events/testdata/golden/v1/" + c.file + ".json")
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(string(body), c.before, c.with, 1)
		if changed == string(body) {
			t.Fatalf("%s: there is no %s in %s", name, c.before, body)
		}
		v := value(t, []byte(changed))
		if strict[events.Kind(c.file)].Validate(v) == nil {
			t.Errorf("%s is taken", name)
		}
		if err := open[events.Kind(c.file)].Validate(v); (err == nil) != c.fine {
			t.Errorf("%s, for a reader: %v", name, err)
		}
	}
}

// Members join, one is killed and one leaves: what they wrote is what is described.
func TestAsyncAPIDescribesARunningCluster(t *testing.T) {
	all := validators(t, true)
	server, err := natsd.Start(t.Context(), natsd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	log, err := jslog.Connect(t.Context(), jslog.Config{InProcess: server, Cluster: cluster, Provision: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	h := newHouse(t)
	options := func(id string) rollcall.Options {
		opt := h.options(id)
		opt.Log, opt.Tags = log, map[string]string{"role": "worker"}
		if err := swim.Profile("fast").Apply(&opt.Protocol); err != nil {
			t.Fatal(err)
		}
		return opt
	}
	n1 := h.join(options("n1"))
	peer := func(id string) *rollcall.Member {
		opt := options(id)
		opt.Seeds = append(opt.Seeds, n1.Addr().String())
		m := h.join(opt)
		<-m.Joined()
		return m
	}
	n2, n3 := peer("n2"), peer("n3")
	replica, err := rollcall.Follow(t.Context(), rollcall.FollowOptions{Cluster: cluster, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(replica.Close)
	until := func(id string, state events.State) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s is %s", id, state), func() error {
			if n, _ := replica.Get(id); n.State != state {
				return fmt.Errorf("it is %s", n.State)
			}
			return nil
		})
	}
	for _, id := range []string{"n1", "n2", "n3"} {
		until(id, events.StateAlive)
	}
	if err := n2.SetTags(h.bounded(), map[string]string{"role": "director"}); err != nil {
		t.Fatal(err)
	}
	if err := n3.Kill(); err != nil {
		t.Fatal(err)
	}
	until("n3", events.StateFailed)
	if err := n2.Leave(h.bounded()); err != nil {
		t.Fatal(err)
	}
	until("n2", events.StateLeft)
	kinds := make(map[events.Kind]int)
	for m, err := range log.Scan(h.bounded(), replica.Position()) {
		if err != nil {
			t.Fatal(err)
		}
		of, err := events.ParseSubject(m.Subject)
		if err != nil {
			t.Fatal(err)
		}
		kinds[of.Kind]++
		if err := all[of.Kind].Validate(value(t, m.Body)); err != nil {
			t.Errorf("position %d: %s\n%v", m.Position, m.Body, err)
		}
	}
	for _, kind := range []events.Kind{events.Joined, events.Tagged, events.Suspected, events.Failed, events.Left} {
		if kinds[kind] == 0 {
			t.Errorf("no %s among %v: nothing was shown", kind, kinds)
		}
	}
}
