package rollcall_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// The law of the repository: what holds in every file, whoever wrote it. A rule is a pure function of the tree; law_code_test.go,
// law_map_test.go and law_text_test.go hold the rules, law_bites_test.go shows of each that it can fail.

// rule returns its breaches, each as "path:line: what is wrong and what to do".
type rule struct {
	name  string
	check func(*tree) []string
}

var rules = []rule{
	{"imports", checkImports},
	{"core", checkCore},
	{"ceilings", checkCeilings},
	{"names", checkNames},
	{"waiting", checkWaiting},
	{"gofmt", checkGofmt},
	{"leftovers", checkLeftovers},
	{"machine paths", checkMachinePaths},
	{"links", checkLinks},
	{"map", checkMap},
	{"targets", checkTargets},
	{"invariants", checkInvariants},
	{"dependencies", checkDependencies},
}

func TestLaw(t *testing.T) {
	repo, err := loadTree(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	if len(repo.code) == 0 || repo.files["go.mod"] == "" {
		t.Fatal("this is not the root of the repository")
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, breach := range r.check(repo) {
				t.Error(breach)
			}
		})
	}
}

// module is the path of the module in go.mod.
const module = "rollcall"

// tree is the repository, without what .gitignore names.
type tree struct {
	files map[string]string // by path from the root, with slashes
	code  []source          // the Go files among them, by path
	fset  *token.FileSet
}

// source is a parsed Go file.
type source struct {
	path, dir string // dir is "." for the root
	test      bool
	ast       *ast.File
}

// in reports whether the file is in one of the folders, or below.
func (s source) in(folders ...string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool { return within(s.dir, folder) })
}

// within reports whether name, a folder or an import path, is outer or lies below it.
func within(name, outer string) bool { return name == outer || strings.HasPrefix(name, outer+"/") }

// line is where pos is, as "path:line".
func (t *tree) line(pos token.Pos) string {
	p := t.fset.Position(pos)
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// paths of all files whose name ends in suffix, in order.
func (t *tree) paths(suffix string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(t.files)), func(p string) bool { return !strings.HasSuffix(p, suffix) })
}

func loadTree(root fs.FS) (*tree, error) {
	ignored, err := gitignore(root)
	if err != nil {
		return nil, err
	}
	t := &tree{files: make(map[string]string), fset: token.NewFileSet()}
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name == ".git" || ignored(name, true) {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() || name == ".git" || ignored(name, false) { // in a linked worktree .git is a file
			return nil
		}
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		t.files[name] = string(data)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, name := range t.paths(".go") {
		file, err := parser.ParseFile(t.fset, name, t.files[name], parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		t.code = append(t.code, source{
			path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), ast: file,
		})
	}
	return t, nil
}

// gitignore reads the two forms of pattern that this repository uses: "/folder/" at the root, and "*.suffix" anywhere.
func gitignore(root fs.FS) (func(name string, dir bool) bool, error) {
	text, err := fs.ReadFile(root, ".gitignore")
	if err != nil {
		return nil, err
	}
	var folders, suffixes []string
	for line := range strings.Lines(string(text)) {
		pattern := strings.TrimSpace(line)
		switch folder, rooted := strings.CutPrefix(pattern, "/"); {
		case pattern == "" || pattern[0] == '#':
		case rooted && strings.HasSuffix(folder, "/"):
			folders = append(folders, strings.TrimSuffix(folder, "/"))
		case strings.HasPrefix(pattern, "*.") && !strings.ContainsAny(pattern[1:], "*?[/"):
			suffixes = append(suffixes, pattern[1:])
		default:
			return nil, fmt.Errorf(".gitignore: %q: teach the law to read this pattern", pattern)
		}
	}
	return func(name string, dir bool) bool {
		if dir {
			return slices.Contains(folders, name)
		}
		return slices.ContainsFunc(suffixes, func(suffix string) bool { return strings.HasSuffix(name, suffix) })
	}, nil
}
