package cli

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// setting is one line of a file of settings.
type setting struct {
	key, value string
	line       int // from 1
}

// parseFile reads "key: value" lines. Empty lines and lines that start with # are skipped, a # after a blank starts a
// comment too, a value may stand in double quotes with Go's escapes. This is the flat subset of YAML, so an editor's
// YAML mode works on it; nested values are refused. Errors start with the line number.
func parseFile(r io.Reader) ([]setting, error) {
	var settings []setting
	lines := bufio.NewScanner(r)
	line := 0
	for lines.Scan() {
		line++
		text := strings.TrimRight(lines.Text(), " \t\r")
		if trimmed := strings.TrimSpace(text); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		key, rest, ok := strings.Cut(text, ":")
		switch {
		case !ok:
			return nil, fmt.Errorf("%d: %q is not of the form \"key: value\"", line, text)
		case key != strings.TrimSpace(key) || key == "" || key[0] == '-':
			return nil, fmt.Errorf("%d: %q: a key starts its line; nested values and lists are not read, repeat the key",
				line, text)
		case rest != "" && rest[0] != ' ' && rest[0] != '\t':
			return nil, fmt.Errorf("%d: %q: a blank must follow the colon", line, text)
		}
		value, err := parseValue(strings.TrimSpace(rest))
		if err != nil {
			return nil, fmt.Errorf("%d: value of %q: %w", line, key, err)
		}
		settings = append(settings, setting{key: key, value: value, line: line})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%d: %w", line+1, err)
	}
	return settings, nil
}

func parseValue(text string) (string, error) {
	if !strings.HasPrefix(text, `"`) {
		for i := range len(text) {
			if text[i] == '#' && (i == 0 || text[i-1] == ' ' || text[i-1] == '\t') {
				return strings.TrimSpace(text[:i]), nil
			}
		}
		return text, nil
	}
	quoted, err := strconv.QuotedPrefix(text)
	if err != nil {
		return "", fmt.Errorf("%s: the quote does not end", text)
	}
	rest := text[len(quoted):]
	if after := strings.TrimSpace(rest); after != "" && (after == rest || after[0] != '#') {
		return "", fmt.Errorf("%s: something follows the quoted value", text)
	}
	return strconv.Unquote(quoted)
}
