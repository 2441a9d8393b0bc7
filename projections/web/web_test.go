package web_test

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rollcall/events"
	"rollcall/projections/web"
)

func files(t *testing.T) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := fs.WalkDir(web.Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := fs.ReadFile(web.Files(), name)
		out[name] = string(raw)
		return err
	})
	if err != nil || out["index.html"] == "" {
		t.Fatalf("no page: %v", err)
	}
	return out
}

// Everything that a file refers to is embedded, and every file is referred to.
func TestEveryReferenceLeadsToAFile(t *testing.T) {
	all := files(t)
	reference := regexp.MustCompile(`(?:src|href)="/web/([^"]+)"|from "\./([^"]+)"`)
	used := map[string]bool{"index.html": true}
	for name, text := range all {
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			target := m[1] + m[2]
			if all[target] == "" {
				t.Errorf("%s refers to %s, which is not there", name, target)
			}
			used[target] = true
		}
	}
	for name := range all {
		if !used[name] {
			t.Errorf("nothing refers to %s", name)
		}
	}
}

// What the log says is set as text alone, nothing comes from elsewhere, and nothing in the page breaks its own policy.
func TestPageKeepsItsPolicy(t *testing.T) {
	never := map[string]*regexp.Regexp{
		"markup from data":  regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser`),
		"code from text":    regexp.MustCompile(`\beval\(|new Function|setTimeout\(["'\x60]`),
		"other origins":     regexp.MustCompile(`https?://`),
		"inline code":       regexp.MustCompile(`(?i)\son[a-z]+=|<script>|javascript:`),
		"inline style":      regexp.MustCompile(`(?i)<style|\sstyle=|\.style\b`),
		"stored or tracked": regexp.MustCompile(`localStorage|sessionStorage|document\.cookie`),
	}
	for name, text := range files(t) {
		text = strings.ReplaceAll(text, "http://www.w3.org/2000/svg", "")
		for what, pattern := range never {
			if found := pattern.FindString(text); found != "" {
				t.Errorf("%s: %s: %s", name, what, found)
			}
		}
	}
	if !strings.HasPrefix(web.Policy, "default-src 'none'") || strings.Contains(web.Policy, "unsafe") {
		t.Errorf("policy: %s", web.Policy)
	}
}

// The ids that the modules look up stand in the page.
func TestEveryIDIsInThePage(t *testing.T) {
	all := files(t)
	lookup := regexp.MustCompile(`byID\("([^"]+)"\)`)
	for name, text := range all {
		if path.Ext(name) != ".js" {
			continue
		}
		for _, m := range lookup.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(all["index.html"], `id="`+m[1]+`"`) {
				t.Errorf("%s looks up %q, which the page has not", name, m[1])
			}
		}
	}
}

// The stream names each message after its kind, and a browser hears of those alone that the page listens to.
func TestEveryKindIsListenedTo(t *testing.T) {
	_, rest, _ := strings.Cut(files(t)["words.js"], "export const kinds = [")
	list, _, _ := strings.Cut(rest, "]")
	var listened []string
	for _, m := range regexp.MustCompile(`"([a-z_]+)"`).FindAllStringSubmatch(list, -1) {
		listened = append(listened, m[1])
	}
	var kinds []string
	for _, kind := range append(events.Kinds(), events.GroupKinds()...) {
		kinds = append(kinds, string(kind))
	}
	if !slices.Equal(listened, kinds) {
		t.Errorf("words.js lists %q, the vocabulary is %q", listened, kinds)
	}
}
