package rollcall_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// lawful is a small tree that breaks no rule. Each case of TestLawBites changes it in one or two places.
func lawful() map[string]string {
	var architecture, tests strings.Builder
	architecture.WriteString("| `swim/` | `node.go` |\n| `swim/quicnet/`, `events/jslog/` | `log.go` |\n" +
		"| `events/recorder/`, `projections/`, `cmd/member/`, `test/integration/` |\n`swim/node.go`, `/v1/nodes/`, `go.mod`\n")
	for n := 1; n <= invariantLast; n++ {
		fmt.Fprintf(&architecture, "- I%d holds\n", n)
		fmt.Fprintf(&tests, "// I%d\n", n)
	}
	return map[string]string{
		".gitignore":                   "/bin/\n*.out\n",
		"go.mod":                       "module rollcall\n\nrequire example.org/a v1.0.0\n",
		"ARCHITECTURE.md":              architecture.String(),
		"bin/left.go":                  "not even Go",
		"profile.out":                  "machine paths in here do not count: /" + "root/x",
		"docs/adr/0001-why-a.md":       "# Why a\n\n`example.org/a`\n",
		"swim/node.go":                 "package swim\n\nimport (\n\t\"math/rand/v2\"\n\t\"net/netip\"\n\t\"time\"\n)\n\nvar _ netip.Addr\n\nfunc f(now time.Time, r *rand.Rand) time.Time { return now }\n",
		"swim/node_test.go":            "package swim_test\n\nimport _ \"rollcall/swim\"\n\n" + tests.String(),
		"swim/quicnet/net.go":          "package quicnet\n\nimport _ \"github.com/quic-go/quic-go\"\n",
		"swim/quicnet/net_test.go":     "package quicnet\n\nimport _ \"rollcall/infra\"\n",
		"events/jslog/log.go":          "package jslog\n\nimport _ \"github.com/nats-io/nats.go\"\n",
		"events/recorder/recorder.go":  "package recorder\n\nimport _ \"rollcall/swim\"\n",
		"projections/fold.go":          "package projections\n\nimport _ \"rollcall/events\"\n",
		"projections/fold_test.go":     "package projections\n\nimport _ \"rollcall/events/memlog\"\n",
		"cmd/member/main.go":           "package main\n\nimport _ \"rollcall/cmd/member/page\"\n",
		"test/integration/all_test.go": "package integration\n\nimport (\n\t_ \"github.com/nats-io/nats.go\"\n\t_ \"github.com/quic-go/quic-go\"\n)\n",
		"Makefile":                     ".PHONY: a b-c\n\na: b-c ## this\n\ttrue\n\nb-c:\n\ttrue\n",
		"docs/a.md":                    "# A b, `c`\n\n[a](#a-b-c) [b](../swim/node.go) [c](/docs) [d](https://example.org) `[e](nowhere)`\n",
	}
}

func check(t *testing.T, r rule, files map[string]string) []string {
	t.Helper()
	repo := fstest.MapFS{}
	for name, text := range files {
		repo[name] = &fstest.MapFile{Data: []byte(text)}
	}
	loaded, err := loadTree(repo)
	if err != nil {
		t.Fatal(err)
	}
	return r.check(loaded)
}

func TestLawLetsTheLawfulPass(t *testing.T) {
	for _, r := range rules {
		if breaches := check(t, r, lawful()); len(breaches) > 0 {
			t.Errorf("%s: %q", r.name, breaches)
		}
	}
}

// test wraps statements in a test function, one a line from line 9 on.
func test(statements ...string) string {
	return "package swim\n\nimport (\n\t\"testing\"\n\t\"time\"\n)\n\nfunc TestX(t *testing.T) {\n\t" +
		strings.Join(statements, "\n\t") + "\n}\n"
}

func TestLawBites(t *testing.T) {
	long := "package a\n\nfunc f() {\n" + strings.Repeat("\t_ = 0\n", functionLinesMax) + "}\n"
	for _, c := range []struct {
		rule    string
		changes map[string]string // path to text; empty removes
		want    []string          // one part of each breach, in order
	}{
		{"imports", map[string]string{"swim/node.go": "package swim\n\nimport _ \"rollcall/infra\"\n"}, []string{"swim/node.go:3: imports rollcall/infra"}},
		{"imports", map[string]string{"swim/a_test.go": "package swim\n\nimport _ \"rollcall/events\"\n"}, []string{"swim/a_test.go:3"}},
		{"imports", map[string]string{"swim/agent/a.go": "package agent\n\nimport _ \"rollcall/events\"\n"}, []string{"does not know the log"}},
		{"imports", map[string]string{"events/a.go": "package events\n\nimport _ \"rollcall/swim\"\n"}, []string{"events/a.go:3"}},
		{"imports", map[string]string{"events/outbox/a.go": "package outbox\n\nimport _ \"rollcall/swim\"\n"}, []string{"only events/recorder"}},
		{"imports", map[string]string{"events/outbox/a.go": "package outbox\n\nimport _ \"github.com/nats-io/nats.go\"\n"}, []string{"events/outbox/a.go:3"}},
		{"imports", map[string]string{"projections/a_test.go": "package projections\n\nimport _ \"github.com/nats-io/nats.go/jetstream\"\n"}, []string{"only events/jslog"}},
		{"imports", map[string]string{"swim/agent/a.go": "package agent\n\nimport _ \"github.com/quic-go/quic-go\"\n"}, []string{"only swim/quicnet"}},
		{"imports", map[string]string{"projections/a.go": "package projections\n\nimport _ \"rollcall/events/memlog\"\n"}, []string{"projections/a.go:3"}},
		{"imports", map[string]string{"infra/a.go": "package infra\n\nimport _ \"rollcall/cmd/member\"\n"}, []string{"nothing imports a command"}},
		{"imports", map[string]string{"cmd/projector/a.go": "package main\n\nimport _ \"rollcall/cmd/member/page\"\n"}, []string{"nothing imports a command"}},

		{"core", map[string]string{"swim/node.go": "package swim\n\nimport (\n\t_ \"log/slog\"\n\t_ \"math/rand\"\n\t_ \"net\"\n\t_ \"sync/atomic\"\n)\n"}, []string{"node.go:4", "node.go:5", "node.go:6", "node.go:7"}},
		{"core", map[string]string{"swim/node.go": "package swim\n\nimport clock \"time\"\n\nvar now = clock.Now\n"}, []string{"node.go:5: the core calls time.Now"}},
		{"core", map[string]string{"swim/node.go": "package swim\n\nimport \"math/rand/v2\"\n\nvar n = rand.IntN(3)\n"}, []string{"node.go:5: the core uses the global rand.IntN"}},
		{"core", map[string]string{"swim/node.go": "package swim\n\nfunc f() { go f() }\n"}, []string{"node.go:3: the core starts a goroutine"}},

		{"ceilings", map[string]string{"a.go": long}, []string{"a.go:3: a function of 72 lines"}},
		{"ceilings", map[string]string{"a.go": strings.Replace(long, "func f()", "var f = func()", 1)}, []string{"a.go:3: a function of 72 lines"}},
		{"ceilings", map[string]string{"a_test.go": long}, nil},
		{"ceilings", map[string]string{"a_test.go": "package a\n" + strings.Repeat("\n", fileLinesMax)}, []string{"a_test.go:601: more than 600"}},

		{"names", map[string]string{"a/testutil.go": "package a\n"}, []string{`a/testutil.go:1: package a: "util"`}},
		{"names", map[string]string{"a/a.go": "package common\n"}, []string{`"common"`}},
		{"names", map[string]string{"helpers/a.go": "package a\n"}, []string{`"helper"`}},

		{"waiting", map[string]string{"swim/a_test.go": test("time.Sleep(1)")}, []string{"swim/a_test.go:9: a test sleeps"}},
		{"waiting", map[string]string{"swim/a_test.go": test("time.Sleep(1) // sleep:")}, []string{"a test sleeps"}},
		{"waiting", map[string]string{"swim/a_test.go": test("time.Sleep(1) // sleep: the clock under test is real")}, nil},
		{"waiting", map[string]string{"swim/a_test.go": "package swim\n\nimport (\n\t\"testing/synctest\"\n\t\"time\"\n)\n\n" +
			"func bubble(t *testing.T, f func()) { synctest.Test(t, func(*testing.T) { time.Sleep(1); f() }) }\n\n" +
			"func TestX(t *testing.T) {\n\tbubble(t, func() { time.Sleep(1) })\n\ttime.Sleep(1)\n}\n"}, []string{":12: a test sleeps"}},
		{"waiting", map[string]string{"swim/a_test.go": test("t.SkipNow()", "t.Skip()", `t.Skip("")`, `t.Skip("no network namespaces here")`)}, []string{":9: skipped", ":10: skipped", ":11: skipped"}},

		{"gofmt", map[string]string{"a.go": "package a\nvar  x int\n"}, []string{"a.go:1: not as gofmt"}},
		{"leftovers", map[string]string{"a.sh": "true\n# FIX" + "ME later\n"}, []string{"a.sh:2: FIX" + "ME"}},
		{"leftovers", map[string]string{"a.go": "package a\n\n// TO" + "DO: all\n"}, []string{"a.go:3"}},
		{"machine paths", map[string]string{"a.md": "cd /" + "home/somebody/src\n"}, []string{"a.md:1: /" + "home/somebody"}},
		{"machine paths", map[string]string{"a.go": "package a\n\nconst dir = \"/" + "work\"\n"}, []string{"a.go:3"}},
		{"machine paths", map[string]string{"a.md": "GET /v1/work, ~/root/x, https://example.org/home/\n"}, nil},

		{"targets", map[string]string{"Makefile": ".PHONY: a b-c\n\na:\n\ttrue\n"}, []string{"Makefile:1: b-c has no rule"}},
		{"links", map[string]string{"docs/a.md": "[a](b.md)\n"}, []string{"docs/a.md:1: link to b.md"}},
		{"links", map[string]string{"docs/a.md": "# A\n[a](#b)\n\n[x]: ../nowhere/\n"}, []string{"docs/a.md:2: link to #b", "docs/a.md:4"}},
		{"links", map[string]string{"docs/a.md": "```\n[a](b.md)\n```\n"}, nil},

		{"map", map[string]string{"swim/agent/a.go": "package agent\n", "swim/agent/b_test.go": "package agent\n"}, []string{"ARCHITECTURE.md:1: swim/agent/ holds code"}},
		{"map", map[string]string{"swim/quicnet/net.go": "", "swim/quicnet/net_test.go": ""}, []string{"ARCHITECTURE.md:2: there is no swim/quicnet/"}},
		{"map", map[string]string{"swim/node.go": ""}, []string{"ARCHITECTURE.md:1: there is no node.go", "ARCHITECTURE.md:4: there is no swim/node.go"}},

		{"invariants", map[string]string{"ARCHITECTURE.md": ""}, slices.Repeat([]string{"is not named"}, invariantLast)},
		{"invariants", map[string]string{"swim/node_test.go": "package swim\n\nfunc TestI1Durable() {} // I2; I3x I44 AI5\n"}, slices.Repeat([]string{"is named in no test"}, invariantLast-3)},
		{"invariants", map[string]string{"ARCHITECTURE.md": lawful()["ARCHITECTURE.md"] + "I7: not tested yet\n"}, []string{"I7 is called"}},
		{"invariants", map[string]string{"ARCHITECTURE.md": strings.ReplaceAll(lawful()["ARCHITECTURE.md"], "holds", "(not tested yet)"), "swim/node_test.go": ""}, nil},

		{"dependencies", map[string]string{"docs/adr/0001-why-a.md": ""}, []string{"example.org/a is used directly"}},
		{"dependencies", map[string]string{"go.mod": "require (\n\texample.org/a v1.0.0 // indirect\n\texample.org/b v2.0.0-rc.1\n)\n"}, []string{"example.org/b is used directly"}},
		{"dependencies", map[string]string{"go.mod": "require example.org/b v1.0.0 // indirect\n\ntool example.org/b/cmd/b\n"}, []string{"example.org/b is used directly"}},
		{"dependencies", map[string]string{
			"go.mod":    "require (\n\texample.org/b v1.0.0 // indirect\n\texample.org/b/c v1.0.0 // indirect\n)\n",
			"a_test.go": "package a\n\nimport _ \"example.org/b/c/d\"\n",
		}, []string{"example.org/b/c is used directly"}},
		{"dependencies", map[string]string{"docs/adr/0001-b.md": "b\n", "docs/adr/three.md": "c\n"}, []string{"has the number of", "NNNN-title.md"}},
		{"dependencies", map[string]string{"docs/adr/0002-b.md": strings.Repeat("b\n", adrLinesMax+1)}, []string{"one page"}},
	} {
		files := lawful()
		for name, text := range c.changes {
			if files[name] = text; text == "" {
				delete(files, name)
			}
		}
		r := rules[slices.IndexFunc(rules, func(r rule) bool { return r.name == c.rule })]
		breaches := check(t, r, files)
		bitten := len(breaches) == len(c.want)
		for i := 0; bitten && i < len(c.want); i++ {
			bitten = strings.Contains(breaches[i], c.want[i])
		}
		if !bitten {
			t.Errorf("%s, with %q:\ngot  %q\nwant %q", c.rule, slices.Sorted(maps.Keys(c.changes)), breaches, c.want)
		}
	}
}

func TestLawDoesNotGuessAtIgnoredFiles(t *testing.T) {
	repo := fstest.MapFS{".gitignore": &fstest.MapFile{Data: []byte("a/**/b\n")}}
	if _, err := loadTree(repo); err == nil {
		t.Error("a pattern that the law cannot read is taken for none")
	}
}
