package rollcall_test

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// eachLine calls f for every line of every text file but LICENSE and checksums, which are not our words.
func eachLine(t *tree, f func(name string, number int, line string)) {
	for _, name := range t.paths("") {
		text := t.files[name]
		if name == "LICENSE" || path.Base(name) == "go.sum" || strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
			continue
		}
		number := 0
		for line := range strings.Lines(text) {
			number++
			f(name, number, line)
		}
	}
}

// The words are put together here, so that the law does not break itself.
var leftover = regexp.MustCompile(`\b(` + "TO" + "DO|FIX" + "ME|XX" + `X)\b`)

func checkLeftovers(t *tree) (breaches []string) {
	eachLine(t, func(name string, number int, line string) {
		if word := leftover.FindString(line); word != "" {
			breaches = append(breaches, fmt.Sprintf("%s:%d: %s: do it, or write the limit down as one", name, number, word))
		}
	})
	return breaches
}

var machinePath = regexp.MustCompile(`(?:^|[^\w.)}>~-])(/(?:work|root|home|Users)(?:/[\w.-]*)?)(?:$|[^\w-])`)

func checkMachinePaths(t *tree) (breaches []string) {
	eachLine(t, func(name string, number int, line string) {
		if found := machinePath.FindStringSubmatch(line); found != nil {
			breaches = append(breaches, fmt.Sprintf("%s:%d: %s is a path of one machine", name, number, found[1]))
		}
	})
	return breaches
}

var target = regexp.MustCompile(`(?m)^([a-z-]+):`)

// checkTargets: what the Makefile declares it does. A declared target without a rule does nothing, and says that all is well.
func checkTargets(t *tree) (breaches []string) {
	text := t.files["Makefile"]
	rules := target.FindAllString(text, -1)
	for number, line := range strings.Split(text, "\n") {
		declared, ok := strings.CutPrefix(line, ".PHONY:")
		if !ok {
			continue
		}
		for _, name := range strings.Fields(declared) {
			if !slices.Contains(rules, name+":") {
				breaches = append(breaches, fmt.Sprintf("Makefile:%d: %s has no rule, so make does nothing and says nothing", number+1, name))
			}
		}
	}
	return breaches
}

var (
	codeSpan = regexp.MustCompile("`[^`]*`")
	link     = regexp.MustCompile(`\]\(<?([^)\s>]+)|^\[[^\]]+\]:\s+<?([^\s>]+)`)
	remote   = regexp.MustCompile(`^[a-z]+:`)
	heading  = regexp.MustCompile(`^#{1,6}\s+(.+?)\s*#*$`)
)

// proseLines calls f for every line of a Markdown file that is not in a code block.
func proseLines(text string, f func(number int, line string)) {
	number, fenced := 0, false
	for line := range strings.Lines(text) {
		number++
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		} else if !fenced {
			f(number, strings.TrimRight(line, "\r\n"))
		}
	}
}

// checkLinks: a link to a file or folder of the repository, or to a heading in one, has something at its other end.
func checkLinks(t *tree) (breaches []string) {
	for _, name := range t.paths(".md") {
		proseLines(t.files[name], func(number int, line string) {
			for _, found := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(line, ""), -1) {
				target := found[1] + found[2]
				if !remote.MatchString(target) && !t.resolves(name, target) {
					breaches = append(breaches, fmt.Sprintf("%s:%d: link to %s leads nowhere", name, number, target))
				}
			}
		})
	}
	return breaches
}

func (t *tree) resolves(from, target string) bool {
	file, anchor, _ := strings.Cut(target, "#")
	full := from
	if file != "" {
		full = path.Join(path.Dir(from), file)
		if rooted, ok := strings.CutPrefix(file, "/"); ok {
			full = path.Clean(rooted)
		}
	}
	text, ok := t.files[full]
	if !ok {
		folder := slices.ContainsFunc(t.paths(""), func(name string) bool { return strings.HasPrefix(name, full+"/") })
		return anchor == "" && (folder || full == ".")
	}
	if anchor == "" || path.Ext(full) != ".md" {
		return true
	}
	found := false
	proseLines(text, func(_ int, line string) {
		if title := heading.FindStringSubmatch(line); title != nil && slug(title[1]) == anchor {
			found = true
		}
	})
	return found
}

// slug is the anchor that forges give a heading.
func slug(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		default:
			return -1
		}
	}, title)
}

const (
	invariantLast = 15
	notTestedYet  = "not tested yet"
)

// An invariant's number stands alone, or in the name of a test: TestI5LegalPath.
var invariant = regexp.MustCompile(`(?:^|[^0-9A-Za-z]|Test)I([1-9][0-9]?)(?:[^0-9]|$)`)

func invariantsIn(line string) (numbers []int) {
	for rest := line; ; {
		found := invariant.FindStringSubmatchIndex(rest)
		if found == nil {
			return numbers
		}
		number, err := strconv.Atoi(rest[found[2]:found[3]])
		if err != nil {
			panic(err) // the expression matches digits
		}
		numbers = append(numbers, number)
		rest = rest[found[3]:]
	}
}

// checkInvariants: ARCHITECTURE.md names I1 to I15, and a test names each, but those on a line that says "not tested yet".
func checkInvariants(t *tree) (breaches []string) {
	const document = "ARCHITECTURE.md"
	named, exempt, tested := make(map[int]bool), make(map[int]bool), make(map[int]bool)
	for line := range strings.Lines(t.files[document]) {
		for _, number := range invariantsIn(line) {
			named[number] = true
			exempt[number] = exempt[number] || strings.Contains(line, notTestedYet)
		}
	}
	for _, file := range t.code {
		if file.test && !strings.HasPrefix(file.path, "law_") {
			for _, number := range invariantsIn(t.files[file.path]) {
				tested[number] = true
			}
		}
	}
	for number := 1; number <= invariantLast; number++ {
		switch {
		case !named[number]:
			breaches = append(breaches, fmt.Sprintf("%s:1: I%d is not named", document, number))
		case !exempt[number] && !tested[number]:
			breaches = append(breaches, fmt.Sprintf("%s:1: I%d is named in no test, nor called %q", document, number, notTestedYet))
		case exempt[number] && tested[number]:
			breaches = append(breaches, fmt.Sprintf("%s:1: I%d is called %q, and a test names it", document, number, notTestedYet))
		}
	}
	return breaches
}

var (
	requirement = regexp.MustCompile(`^(?:require\s+)?(\S+)\s+v\S+(\s+// indirect)?$`)
	tool        = regexp.MustCompile(`^(?:tool\s+)?([\w.-]+\.[\w.-]+/\S+)$`)
	adrName     = regexp.MustCompile(`^docs/adr/([0-9]{4})-[a-z0-9-]+\.md$`)
)

// adrLinesMax is about one page.
const adrLinesMax = 60

// checkDependencies: every module that our code, our tests or our tools use directly has a record of why, which names
// its path as code; records are numbered, each number once, and short.
func checkDependencies(t *tree) (breaches []string) {
	var records strings.Builder
	numbers := make(map[string]string)
	for _, name := range t.paths("") {
		if path.Dir(name) != "docs/adr" {
			continue
		}
		found := adrName.FindStringSubmatch(name)
		if found == nil {
			breaches = append(breaches, name+":1: a record is named NNNN-title.md")
			continue
		}
		if other := numbers[found[1]]; other != "" {
			breaches = append(breaches, fmt.Sprintf("%s:1: has the number of %s", name, other))
		}
		numbers[found[1]] = name
		if lines := strings.Count(t.files[name], "\n"); lines > adrLinesMax {
			breaches = append(breaches, fmt.Sprintf("%s:%d: a record is one page, at most %d lines", name, lines, adrLinesMax))
		}
		records.WriteString(t.files[name])
	}
	for _, used := range directModules(t) {
		if !strings.Contains(records.String(), "`"+used+"`") {
			breaches = append(breaches, fmt.Sprintf("go.mod:1: %s is used directly, and no record in docs/adr names `%s`", used, used))
		}
	}
	return breaches
}

// directModules are the modules of go.mod that are required directly, or imported, or used as a tool; by path.
func directModules(t *tree) []string {
	var required, packages []string
	direct := make(map[string]bool)
	for line := range strings.Lines(t.files["go.mod"]) {
		line = strings.TrimSpace(line)
		if found := requirement.FindStringSubmatch(line); found != nil {
			required = append(required, found[1])
			direct[found[1]] = found[2] == ""
		} else if found := tool.FindStringSubmatch(line); found != nil {
			packages = append(packages, found[1])
		}
	}
	for _, file := range t.code {
		if !t.inNestedModule(file.path) {
			for _, spec := range file.ast.Imports {
				packages = append(packages, importPath(spec))
			}
		}
	}
	for _, imported := range packages {
		owner := ""
		for _, candidate := range required {
			if within(imported, candidate) && len(candidate) > len(owner) {
				owner = candidate
			}
		}
		direct[owner] = true
	}
	return slices.DeleteFunc(required, func(candidate string) bool { return !direct[candidate] })
}

func (t *tree) inNestedModule(name string) bool {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, ok := t.files[dir+"/go.mod"]; ok {
			return true
		}
	}
	return false
}
