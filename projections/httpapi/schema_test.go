package httpapi_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rollcall/projections/httpapi"
)

// schema is as much of JSON Schema as the description uses.
type schema struct {
	Ref        string             `json:"$ref"`
	Type       any                `json:"type"` // a name or a list of names
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	Additional json.RawMessage    `json:"additionalProperties"`
	Items      *schema            `json:"items"`
	Enum       []any              `json:"enum"`
	Const      any                `json:"const"`
	Minimum    *float64           `json:"minimum"`
	MaxItems   *int               `json:"maxItems"`
	Pattern    string             `json:"pattern"`
}

type components struct {
	Components struct {
		Schemas map[string]*schema `json:"schemas"`
	} `json:"components"`
}

// conforms fails t when value is not what the description calls name.
func conforms(t *testing.T, name string, value any) {
	t.Helper()
	var c components
	if err := json.Unmarshal(httpapi.OpenAPI(), &c); err != nil {
		t.Fatal(err)
	}
	s := c.Components.Schemas[name]
	if s == nil {
		t.Fatalf("the description has no schema %s", name)
	}
	for _, fault := range c.faults(s, name, value) {
		t.Error(fault)
	}
}

func (c *components) faults(s *schema, at string, value any) []string {
	if s.Ref != "" {
		target := c.Components.Schemas[s.Ref[strings.LastIndex(s.Ref, "/")+1:]]
		if target == nil {
			return []string{at + ": refers to nothing: " + s.Ref}
		}
		return c.faults(target, at, value)
	}
	var out []string
	fault := func(format string, args ...any) { out = append(out, at+": "+fmt.Sprintf(format, args...)) }
	if got := typeOf(value); !s.allows(got) {
		fault("is %s, want %v", got, s.Type)
		return out
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, value) {
		fault("%v is none of %v", value, s.Enum)
	}
	if s.Const != nil && s.Const != value {
		fault("%v is not %v", value, s.Const)
	}
	switch v := value.(type) {
	case map[string]any:
		out = append(out, c.objectFaults(s, at, v)...)
	case []any:
		if s.MaxItems != nil && len(v) > *s.MaxItems {
			fault("%d items, at most %d", len(v), *s.MaxItems)
		}
		for i, item := range v {
			out = append(out, c.faults(s.Items, fmt.Sprintf("%s[%d]", at, i), item)...)
		}
	case float64:
		if s.Minimum != nil && v < *s.Minimum {
			fault("%v is below %v", v, *s.Minimum)
		}
	case string:
		if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			fault("%q does not match %s", v, s.Pattern)
		}
	}
	return out
}

func (c *components) objectFaults(s *schema, at string, v map[string]any) []string {
	var out []string
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			out = append(out, at+": has no "+name)
		}
	}
	for name, value := range v {
		p, known := s.Properties[name]
		switch {
		case known:
			out = append(out, c.faults(p, at+"."+name, value)...)
		case string(s.Additional) == "false":
			out = append(out, at+": has "+name+", which is not described")
		}
	}
	return out
}

func (s *schema) allows(got string) bool {
	allowed := func(want any) bool { return want == got || want == "number" && got == "integer" }
	switch want := s.Type.(type) {
	case []any:
		return slices.ContainsFunc(want, allowed)
	default:
		return allowed(want)
	}
}

func typeOf(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	default:
		return fmt.Sprintf("%T", value)
	}
}
