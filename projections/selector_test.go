package projections_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rollcall/projections"
)

func TestSelector(t *testing.T) {
	tags := map[string]string{"role": "worker", "zone": "a", "version": "2.14", "note": "", "odd key": `x, "y"`}
	for text, want := range map[string]bool{
		"role=worker":                true,
		" role = worker ":            true,
		"role=web":                   false,
		"role=":                      false,
		"note=":                      true,
		"role":                       true,
		"draining":                   false,
		"!draining":                  true,
		"!role":                      false,
		"! role=web":                 true,
		"role!=web":                  true,
		"role!=worker":               false,
		"!role!=worker":              true,
		"draining!=yes":              true,
		"zone in (a,b)":              true,
		"zone in(b, a)":              true,
		"zone in (b)":                false,
		"!zone in (b,c)":             true,
		"gone in (a)":                false,
		"version^=2.":                true,
		"version^=3":                 false,
		"version^=":                  true,
		"gone^=":                     false,
		"!version^=3":                true,
		"role=worker,zone=a":         true,
		"role=worker, !draining":     true,
		"role=worker,zone=b":         false,
		`"odd key"="x, \"y\""`:       true,
		`role="worker"`:              true,
		`zone in ("a","b,c")`:        true,
		"in":                         false,
		"role=a=b":                   false,
		"!draining,version^=2.,role": true,
	} {
		s, err := projections.ParseSelector(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := s.Match(tags); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	if s, err := projections.ParseSelector(); err != nil || !s.Match(nil) || s.String() != "" {
		t.Errorf("no expression at all: %v, %q", err, s)
	}
	both, err := projections.ParseSelector("role=worker", "zone=b")
	if err != nil || both.Match(tags) || both.String() != "role=worker,zone=b" {
		t.Errorf("two expressions are both to hold: %v, %q", err, both)
	}
}

func TestSelectorErrorsSayWhere(t *testing.T) {
	for text, at := range map[string]int{
		"":                1,
		"  ":              3,
		"=worker":         1,
		"role=a,":         8,
		",role=a":         1,
		"role worker":     6,
		"role^worker":     5,
		"zone in (a":      11,
		"zone in a":       6,
		`role="a`:         6,
		`role="a"b`:       9,
		`role=a"b`:        7,
		`role="a\n"`:      8,
		"ümlaut=a,=b":     10,
		"role=a, !":       10,
		"(role=a)":        1,
		"role=\xff":       6,
		"zone in (a)b":    12,
		`"unended key=a`:  1,
		"role=worker , ,": 15,
	} {
		_, err := projections.ParseSelector(text)
		var where *projections.SelectorError
		if !errors.Is(err, projections.ErrSelector) || !errors.As(err, &where) || where.At != at || where.Why == "" {
			t.Errorf("%q: %v, want an error at %d", text, err, at)
		}
	}
	if _, err := projections.ParseSelector(strings.Repeat("a", projections.SelectorMax+1)); !errors.Is(err, projections.ErrSelector) {
		t.Errorf("too long: %v", err)
	}
}

// claim is a term as a test thinks of it.
type claim struct {
	not    bool
	key    string
	op     string // "", "=", "^=" or "in"
	values []string
}

// naive says what a claim means, in the plainest way.
func (c claim) naive(tags map[string]string) bool {
	holds := false
	for key, value := range tags {
		if key != c.key {
			continue
		}
		switch c.op {
		case "":
			holds = true
		case "=", "in":
			holds = slices.Contains(c.values, value)
		case "^=":
			holds = len(value) >= len(c.values[0]) && value[:len(c.values[0])] == c.values[0]
		}
	}
	return holds != c.not
}

func (c claim) write(t *rapid.T) string {
	gap := rapid.SampledFrom([]string{"", " ", "\t "})
	word := func(s string) string {
		if s != "" && !strings.ContainsAny(s, ` ,=!^()"\`) && rapid.Bool().Draw(t, "bare") {
			return s
		}
		return `"` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`) + `"`
	}
	out := gap.Draw(t, "gap")
	if c.not {
		out += "!" + gap.Draw(t, "gap")
	}
	out += word(c.key) + gap.Draw(t, "gap")
	switch c.op {
	case "=", "^=":
		out += c.op + gap.Draw(t, "gap") + word(c.values[0])
	case "in":
		var list []string
		for _, v := range c.values {
			list = append(list, gap.Draw(t, "gap")+word(v)+gap.Draw(t, "gap"))
		}
		out += " in" + gap.Draw(t, "gap") + "(" + strings.Join(list, ",") + ")"
	}
	return out + gap.Draw(t, "gap")
}

// However an expression is written, it chooses what its terms mean, and what String returns means the same.
func TestSelectorMeansWhatItsTermsMean(t *testing.T) {
	words := rapid.SampledFrom([]string{"a", "b", "ab", "in", "x y", `q"`, `\`, "a,b", "1.2", "é", "(", "="})
	values := rapid.OneOf(words, rapid.Just(""))
	rapid.Check(t, func(t *rapid.T) {
		claims := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) claim {
			c := claim{
				not: rapid.Bool().Draw(t, "not"), key: words.Draw(t, "key"),
				op: rapid.SampledFrom([]string{"", "=", "^=", "in"}).Draw(t, "operator"),
			}
			n := 1
			if c.op == "in" {
				n = rapid.IntRange(1, 3).Draw(t, "values")
			}
			c.values = rapid.SliceOfN(values, n, n).Draw(t, "value")
			return c
		}), 1, 4).Draw(t, "claims")
		tags := rapid.MapOfN(words, values, 0, 6).Draw(t, "tags")

		var written []string
		want := true
		for _, c := range claims {
			written = append(written, c.write(t))
			want = want && c.naive(tags)
		}
		text := strings.Join(written, ",")
		s, err := projections.ParseSelector(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got := s.Match(tags); got != want {
			t.Fatalf("%q on %q: %v, want %v", text, tags, got, want)
		}
		again, err := projections.ParseSelector(s.String())
		if err != nil || again.String() != s.String() || again.Match(tags) != want {
			t.Fatalf("%q was read as %q, which reads as %q: %v", text, s, again, err)
		}
	})
}

func FuzzSelector(f *testing.F) {
	for _, seed := range []string{"role=worker", "zone in (a,b)", "!draining", "version^=2.", `"a b"="c\\\"d",e!=f`, "a in (", `a="`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := projections.ParseSelector(text)
		if err != nil {
			var where *projections.SelectorError
			if !errors.As(err, &where) || where.At < 1 || where.At > len(text)+1 {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		again, err := projections.ParseSelector(s.String())
		if err != nil || again.String() != s.String() {
			t.Fatalf("%q was read as %q, which reads as %q: %v", text, s, again, err)
		}
		s.Match(map[string]string{"role": "worker"})
	})
}
