package rollcall_test

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// placeSpan is a folder, which ends in a slash, or a file of ours, as ARCHITECTURE.md names one.
var placeSpan = regexp.MustCompile("`([A-Za-z0-9_.][A-Za-z0-9_./-]*(?:/|\\.go|\\.md))`")

// checkMap: every folder that holds code is named in ARCHITECTURE.md, and every folder or file that is named there is there.
// What is named without a folder lies in one that the same line names.
func checkMap(t *tree) (breaches []string) {
	const document = "ARCHITECTURE.md"
	named := make(map[string]bool)
	number := 0
	for line := range strings.Lines(t.files[document]) {
		number++
		folders := []string{"."}
		for _, span := range placeSpan.FindAllStringSubmatch(line, -1) {
			place := path.Clean(span[1])
			if strings.HasSuffix(span[1], "/") {
				folders, named[place] = append(folders, place), true
			}
			if !slices.ContainsFunc(folders, func(folder string) bool { return t.resolves(document, path.Join(folder, place)) }) {
				breaches = append(breaches, fmt.Sprintf("%s:%d: there is no %s", document, number, span[1]))
			}
		}
	}
	for _, file := range t.code {
		if file.dir != "." && !named[file.dir] {
			named[file.dir] = true
			breaches = append(breaches, fmt.Sprintf("%s:1: %s/ holds code and is not named", document, file.dir))
		}
	}
	return breaches
}
