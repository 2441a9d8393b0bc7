package rollcall_test

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// onlyIn names who may import what, tests included. Folder "test" is where the whole house is tested.
var onlyIn = []struct {
	imported string
	folders  []string
}{
	{"github.com/nats-io", []string{"events/jslog", "infra", "cmd", "test"}},
	{"github.com/quic-go", []string{"swim/quicnet", "test"}},
}

// ownImports names which packages of ours a package may import; its tests may import what lies in tests as well.
var ownImports = []struct {
	dir         string
	code, tests []string
}{
	{dir: "swim", tests: []string{"swim"}},
	{dir: "events", tests: []string{"events"}},
	{dir: "projections", code: []string{"events"}, tests: []string{"events", "projections"}},
}

func checkImports(t *tree) (breaches []string) {
	for _, file := range t.code {
		for _, spec := range file.ast.Imports {
			if why := forbidden(file, importPath(spec)); why != "" {
				breaches = append(breaches, fmt.Sprintf("%s: imports %s: %s", t.line(spec.Pos()), importPath(spec), why))
			}
		}
	}
	return breaches
}

// forbidden says why the file may not import what it imports, or nothing.
func forbidden(file source, imported string) string {
	for _, r := range onlyIn {
		if within(imported, r.imported) && !file.in(r.folders...) {
			return "only " + strings.Join(r.folders, ", ") + " may"
		}
	}
	own, ours := strings.CutPrefix(imported, module+"/")
	if !ours {
		return ""
	}
	if within(own, "cmd") && !within(own, file.dir) && !within(file.dir, own) {
		return "nothing imports a command"
	}
	for _, r := range ownImports {
		if file.dir != r.dir || slices.Contains(r.code, own) {
			continue
		}
		if !file.test || !slices.ContainsFunc(r.tests, func(tree string) bool { return within(own, tree) }) {
			return fmt.Sprintf("of ours, %s imports only %q", r.dir, r.code)
		}
	}
	switch {
	case file.test:
	case file.in("swim") && within(own, "events"):
		return "the detector does not know the log"
	case file.in("events") && !file.in("events/recorder") && within(own, "swim"):
		return "only events/recorder joins the two"
	}
	return ""
}

func importPath(spec *ast.ImportSpec) string {
	unquoted, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic(err) // the parser accepted it
	}
	return unquoted
}

// The core is a value that is stepped: no input but its arguments.
var (
	coreImportsNot = []string{"net", "os", "sync", "context", "log", "syscall", "crypto/rand", "math/rand"}
	clockReads     = []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}
	ownRand        = []string{"New", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "Source", "PCG", "ChaCha8", "Zipf"}
)

func checkCore(t *tree) (breaches []string) {
	for _, file := range t.code {
		if file.dir != "swim" || file.test {
			continue
		}
		for _, spec := range file.ast.Imports {
			imported := importPath(spec)
			if imported != "net/netip" && imported != "math/rand/v2" &&
				slices.ContainsFunc(coreImportsNot, func(tree string) bool { return within(imported, tree) }) {
				breaches = append(breaches, fmt.Sprintf("%s: the core imports %s: it has no world but its arguments",
					t.line(spec.Pos()), imported))
			}
		}
		ast.Inspect(file.ast, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.GoStmt:
				breaches = append(breaches, t.line(node.Pos())+": the core starts a goroutine: swim/agent owns the only one")
			case *ast.SelectorExpr:
				if of := imported(file, node); of == "time" && slices.Contains(clockReads, node.Sel.Name) {
					breaches = append(breaches, fmt.Sprintf("%s: the core calls time.%s: time is an argument",
						t.line(node.Pos()), node.Sel.Name))
				} else if of == "math/rand/v2" && !slices.Contains(ownRand, node.Sel.Name) {
					breaches = append(breaches, fmt.Sprintf("%s: the core uses the global rand.%s: randomness is an argument",
						t.line(node.Pos()), node.Sel.Name))
				}
			}
			return true
		})
	}
	return breaches
}

// imported is the path of the package that a selector like time.Now selects from, or empty.
func imported(file source, sel *ast.SelectorExpr) string {
	name, ok := sel.X.(*ast.Ident)
	if !ok {
		return ""
	}
	for _, spec := range file.ast.Imports {
		full := importPath(spec)
		base := path.Base(full)
		if full == "math/rand/v2" {
			base = "rand"
		}
		if spec.Name != nil {
			base = spec.Name.Name
		}
		if base == name.Name {
			return full
		}
	}
	return ""
}

// Ceilings, in lines. A function that is a test may be longer than can be seen at once, a file may not.
const (
	fileLinesMax     = 600
	functionLinesMax = 70
)

func checkCeilings(t *tree) (breaches []string) {
	for _, file := range t.code {
		if lines := strings.Count(t.files[file.path], "\n"); lines > fileLinesMax {
			breaches = append(breaches, fmt.Sprintf("%s:%d: more than %d lines: one idea a file", file.path, lines, fileLinesMax))
		}
		if file.test {
			continue
		}
		ast.Inspect(file.ast, func(node ast.Node) bool {
			switch node.(type) {
			case *ast.FuncDecl, *ast.FuncLit:
			default:
				return true
			}
			// From the keyword on: the comment above is not part of what must be seen at once.
			start := node.Pos()
			lines := t.fset.Position(node.End()).Line - t.fset.Position(start).Line + 1
			if lines > functionLinesMax {
				breaches = append(breaches, fmt.Sprintf("%s: a function of %d lines, more than %d: give a part of it a name",
					t.line(start), lines, functionLinesMax))
			}
			return false
		})
	}
	return breaches
}

// emptyNames say nothing about what they name.
var emptyNames = []string{"util", "helper", "manager", "common"}

func checkNames(t *tree) (breaches []string) {
	for _, file := range t.code {
		for _, empty := range emptyNames {
			if strings.Contains(strings.ToLower(file.path), empty) || strings.Contains(file.ast.Name.Name, empty) {
				breaches = append(breaches, fmt.Sprintf("%s:1: package %s: %q says nothing: name it after what it holds",
					file.path, file.ast.Name.Name, empty))
			}
		}
	}
	return breaches
}

// checkWaiting: a test sleeps in virtual time only, unless the line says why in "// sleep: reason"; and it is not skipped
// without a reason.
func checkWaiting(t *tree) (breaches []string) {
	bubbles := bubbleFunctions(t)
	for _, file := range t.code {
		if !file.test {
			continue
		}
		reasons := sleepReasons(t, file)
		var visit func(node ast.Node, virtual bool)
		visit = func(root ast.Node, virtual bool) {
			ast.Inspect(root, func(node ast.Node) bool {
				call, ok := node.(*ast.CallExpr)
				if !ok || node == root {
					return true
				}
				sel, ok := call.Fun.(*ast.SelectorExpr)
				switch {
				case !virtual && opensBubble(file, call, bubbles):
					visit(call, true)
					return false
				case !ok:
				case sel.Sel.Name == "Sleep" && imported(file, sel) == "time":
					if !virtual && !reasons[t.fset.Position(call.Pos()).Line] {
						breaches = append(breaches, t.line(call.Pos())+": a test sleeps: poll with a deadline, or use testing/synctest")
					}
				case strings.HasPrefix(sel.Sel.Name, "Skip") && isTestValue(sel.X) && !saysSomething(call.Args):
					breaches = append(breaches, t.line(call.Pos())+": skipped without a reason")
				}
				return true
			})
		}
		visit(file.ast, false)
	}
	return breaches
}

// bubbleFunctions are the test functions, as "folder.name", that call synctest.Test: a function that is handed to one of
// them may run in virtual time.
func bubbleFunctions(t *tree) map[string]bool {
	functions := make(map[string]bool)
	for _, file := range t.code {
		for _, decl := range file.ast.Decls {
			function, ok := decl.(*ast.FuncDecl)
			if !file.test || !ok {
				continue
			}
			ast.Inspect(function, func(node ast.Node) bool {
				if call, ok := node.(*ast.CallExpr); ok && opensBubble(file, call, nil) {
					functions[file.dir+"."+function.Name.Name] = true
				}
				return true
			})
		}
	}
	return functions
}

func opensBubble(file source, call *ast.CallExpr, bubbles map[string]bool) bool {
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		return f.Sel.Name == "Test" && imported(file, f) == "testing/synctest"
	case *ast.Ident:
		return bubbles[file.dir+"."+f.Name]
	default:
		return false
	}
}

func sleepReasons(t *tree, file source) map[int]bool {
	lines := make(map[int]bool)
	for _, group := range file.ast.Comments {
		for _, comment := range group.List {
			if reason, ok := strings.CutPrefix(comment.Text, "// sleep:"); ok && strings.TrimSpace(reason) != "" {
				lines[t.fset.Position(comment.Pos()).Line] = true
			}
		}
	}
	return lines
}

// isTestValue goes by the names that tests give the testing package's values everywhere.
func isTestValue(x ast.Expr) bool {
	name, ok := x.(*ast.Ident)
	return ok && slices.Contains([]string{"t", "b", "f", "tb"}, name.Name)
}

func saysSomething(args []ast.Expr) bool {
	if len(args) == 0 {
		return false
	}
	text, ok := args[0].(*ast.BasicLit)
	return !ok || text.Kind != token.STRING || len(text.Value) > len(`""`)
}

func checkGofmt(t *tree) (breaches []string) {
	for _, file := range t.code {
		formatted, err := format.Source([]byte(t.files[file.path]))
		if err != nil {
			breaches = append(breaches, fmt.Sprintf("%s:1: %v", file.path, err))
		} else if string(formatted) != t.files[file.path] {
			breaches = append(breaches, file.path+":1: not as gofmt has it: run gofmt -w on it")
		}
	}
	return breaches
}
