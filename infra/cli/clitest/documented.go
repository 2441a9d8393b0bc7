// Package clitest checks what the documents say of a binary's command line.
//
//	func TestDocumentedCommands(t *testing.T) { clitest.Documented(t, newRoot(), "../..") }
//
// It parses and runs nothing: that a command and its flags exist, and that a flag takes the value, is all that is checked.
package clitest

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var (
	continued = regexp.MustCompile(`\\\n\s*`)
	block     = regexp.MustCompile(`(?m)^(?: {4}| {6})(\S.*)$`) // an indented line of code
	span      = regexp.MustCompile("`([^`]+)`")
	word      = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)
)

// Documented fails for every command line in the Markdown files below dir that begins with the name of root and that root
// does not take. A line may break off: a flag without its value is fine, and what follows an ellipsis or a bar is not looked at.
func Documented(t *testing.T, root *cobra.Command, dir string) {
	t.Helper()
	found := 0
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".md" {
			return err
		}
		text, err := os.ReadFile(path.Join(dir, name))
		if err != nil {
			return err
		}
		for _, line := range commands(string(text), root.Name()) {
			found++
			if err := taken(root, line); err != nil {
				t.Errorf("%s: %s: %v", name, strings.Join(line, " "), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found == 0 {
		t.Errorf("no document below %s has a command of %s", dir, root.Name())
	}
}

// commands returns the words of each command line of a program, without its name.
func commands(text, program string) (lines [][]string) {
	text = continued.ReplaceAllString(text, " ")
	add := func(line string) {
		line = strings.TrimPrefix(line, "go run ./cmd/")
		if rest, ok := strings.CutPrefix(line, program+" "); ok {
			lines = append(lines, words(rest))
		}
	}
	for _, code := range block.FindAllStringSubmatch(text, -1) {
		add(code[1])
	}
	prose := block.ReplaceAllString(text, "")
	for _, code := range span.FindAllStringSubmatch(prose, -1) {
		add(strings.Join(strings.Fields(code[1]), " "))
	}
	return lines
}

// words of a line as a shell has them, up to where it goes on with something else.
func words(line string) (list []string) {
	for _, w := range word.FindAllString(line, -1) {
		switch {
		case strings.ContainsAny(w[:1], "#|>&…") || strings.HasPrefix(w, "..."):
			return list
		case w[0] == '\'' || w[0] == '"':
			w = w[1 : len(w)-1]
		}
		list = append(list, w)
	}
	return list
}

// taken says why a command line is not one of root's.
func taken(root *cobra.Command, line []string) error {
	cmd, rest, err := root.Find(line)
	if err != nil {
		return err
	}
	if cmd == root {
		return errors.New("there is no such command")
	}
	err = cmd.ParseFlags(rest)
	if broken := new(pflag.ValueRequiredError); errors.As(err, &broken) || errors.Is(err, pflag.ErrHelp) {
		return nil
	}
	return err
}
