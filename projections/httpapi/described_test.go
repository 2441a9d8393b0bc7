package httpapi_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"rollcall/events"
	"rollcall/projections/httpapi"
)

var update = flag.Bool("update", false, "rewrite docs/openapi.yaml from openapi.json")

// examples are requests of every path that answers with JSON. Those in a line get an answer, in this order.
var examples = map[string][]string{
	"/v1/nodes": {
		"/v1/nodes", "/v1/nodes?at=4", "/v1/nodes?min_position=8", "/v1/nodes?status=alive,left", "/v1/nodes?tag=role=worker,!gone",
	},
	"/v1/nodes/{id}":         {"/v1/nodes/n3", "/v1/nodes/n2", "/v1/nodes/n1?min_position=1"},
	"/v1/nodes/{id}/history": {"/v1/nodes/n3/history", "/v1/nodes/n3/history?at=5", "/v1/nodes/n3/history?from=4&to=6"},
	"/v1/services":           {"/v1/services", "/v1/services?tag=role&status=alive,suspect&at=5"},
	"/v1/pick": {
		"/v1/pick", "/v1/pick?strategy=round_robin", "/v1/pick?strategy=least_loaded&tag=role=worker", "/v1/pick?key=a",
	},
	"/v1/diff":                        {"/v1/diff?from=3", "/v1/diff?from=1&to=6", "/v1/diff?from=6&to=1"},
	"/v1/report":                      {"/v1/report", "/v1/report?from=3", "/v1/report?from=1&to=6", "/v1/report?min_position=8"},
	"/v1/events":                      {"/v1/events", "/v1/events?node=n3&limit=2", "/v1/events?kind=failed", "/v1/events?author=n1&from=2026-03-01T12:00:00Z", "/v1/events?from=4&limit=1000"},
	"/v1/projections":                 {"/v1/projections"},
	"/v1/projections/{name}/{action}": {"/v1/projections/registry/pause", "/v1/projections/timeline/resume", "/v1/projections/services/resume", "/v1/projections/fold/rebuild"},
	"/sd/prometheus":                  {"/sd/prometheus", "/sd/prometheus?tag=role=worker&status=alive,failed"},
	"/livez":                          {"/livez"},
	"/readyz":                         {"/readyz"},
	"/dev/nodes/{id}/{action}":        {"/dev/nodes/n1/pause"},
	"/v1/assignments":                 {"/v1/assignments", "/v1/assignments?at=5"},
	"/v1/assignments/{group}":         {"/v1/assignments/orders", "/v1/assignments/orders?without=n2&with=n8,n9"},
	"/dev/partition":                  {"/dev/partition"},
}

// mistakes are requests of the same paths that get a problem.
var mistakes = []string{
	"/v1/nodes/n9", "/v1/nodes?colour=red", "/v1/nodes?at=99", "/nothing", "/v1/pick?tag=nobody", "/v1/diff", "/v1/services?tag=(",
	"/v1/report?from=5&to=4", "/v1/nodes/n3/history?at=5&to=5", "/v1/nodes/n3/history?from=6&at=5",
	"/sd/prometheus?tag=", "/v1/assignments/nothing", "/v1/assignments/orders?without=",
}

type operations struct {
	Paths map[string]map[string]struct {
		Responses map[string]struct {
			Content map[string]struct{ Schema *schema }
		}
	}
}

// Every path that is described to answer with JSON does answer, and as described.
func TestAnswersAreAsDescribed(t *testing.T) {
	w := newWorld(t, func(c *httpapi.Config) { c.Dev = &stage{} })
	if r := w.get("/v1/nodes"); r.status != http.StatusOK {
		t.Errorf("empty log: %d %s", r.status, r.raw)
	} else {
		conforms(t, "Nodes", r.body)
	}
	w.episode()
	w.log.Inject("rollcall.test.node.n2.n2.tagged", []byte("not JSON"))
	w.say(events.HealthCheckFailed, "n1", "n2", 1, events.Evidence{Phi: 8.5})
	w.plan("orders", "n1")
	w.settle()
	var d operations
	var c components
	for _, into := range []any{&d, &c} {
		if err := json.Unmarshal(httpapi.OpenAPI(), into); err != nil {
			t.Fatal(err)
		}
	}
	for pattern, methods := range d.Paths {
		for method, op := range methods {
			s := op.Responses["200"].Content["application/json"].Schema
			if s == nil || pattern == "/openapi.json" {
				continue
			}
			requests, known := examples[pattern]
			if !known {
				t.Errorf("%s has no example here", pattern)
			}
			for _, path := range requests {
				r := w.do(strings.ToUpper(method), path, strings.NewReader(`{"groups":[["n1"]]}`))
				var body any
				if err := json.Unmarshal([]byte(r.raw), &body); err != nil || r.status != http.StatusOK {
					t.Errorf("%s: %d %s", path, r.status, r.raw)
					continue
				}
				for _, fault := range c.faults(s, path, body) {
					t.Error(fault)
				}
			}
		}
	}
	for _, path := range mistakes {
		t.Run(path, func(t *testing.T) { conforms(t, "Problem", w.get(path).body) })
	}
}

// plainKey is a key that YAML reads as a text without quotes.
var plainKey = regexp.MustCompile(`^[A-Za-z_$][\w$-]*$`)

// yaml writes the JSON value that dec reads next as YAML, in the same order. A JSON text is a YAML text as it is.
func yaml(out *strings.Builder, dec *json.Decoder, indent string) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	open, nested := token.(json.Delim)
	if !nested {
		return scalar(out, token)
	}
	empty := true
	for ; dec.More(); empty = false {
		out.WriteString("\n" + indent)
		if open == '[' {
			out.WriteString("-")
		} else {
			key, err := dec.Token()
			if err != nil {
				return err
			}
			if name := key.(string); plainKey.MatchString(name) {
				out.WriteString(name + ":")
			} else {
				fmt.Fprintf(out, "%q:", name)
			}
		}
		if err := yaml(out, dec, indent+"  "); err != nil {
			return err
		}
	}
	if empty {
		out.WriteString(map[json.Delim]string{'[': " []", '{': " {}"}[open])
	}
	_, err = dec.Token()
	return err
}

func scalar(out *strings.Builder, token json.Token) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(token); err != nil {
		return err
	}
	out.WriteString(" " + strings.TrimSuffix(buf.String(), "\n"))
	return nil
}

// docs/openapi.yaml is what people read; openapi.json is the source of both it and of /openapi.json.
func TestDescriptionInTheDocsIsTheOneThatIsServed(t *testing.T) {
	const file = "../../docs/openapi.yaml"
	var out strings.Builder
	out.WriteString("# Written from projections/httpapi/openapi.json: go test ./projections/httpapi -update")
	dec := json.NewDecoder(bytes.NewReader(httpapi.OpenAPI()))
	dec.UseNumber()
	if err := yaml(&out, dec, ""); err != nil {
		t.Fatal(err)
	}
	out.WriteString("\n")
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(file)
	if err != nil || string(written) != out.String() {
		t.Errorf("%s is not what openapi.json says (%v): run go test ./projections/httpapi -update", file, err)
	}
}
