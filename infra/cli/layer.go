package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

const (
	configFlag = "config"
	envPrefix  = "ROLLCALL_"
)

// EnvName is the environment variable of a flag: "max-lag" is ROLLCALL_MAX_LAG.
func EnvName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Layer gives every flag of fs that the command line did not set its value from the environment, or else from the file
// that --config (or ROLLCALL_CONFIG) names. lookup is os.LookupEnv outside tests.
//
// A variable that is set to the empty string counts as not set. A value that the flag refuses is an error that names the
// variable, or the file and line. The file may hold only flags of fs: a key that is none is an error, so that a
// misspelt setting is never silently the default.
//
// A list flag takes its items comma-separated from the environment, where a comma in parentheses is part of its item, and as
// repeated keys from the file, where those that are comma-separated on the command line are so as well.
func Layer(fs *pflag.FlagSet, lookup func(string) (string, bool)) error {
	given := make(map[string]bool) // by the command line
	fs.Visit(func(f *pflag.Flag) { given[f.Name] = true })

	var errs []error
	fs.VisitAll(func(f *pflag.Flag) {
		if given[f.Name] || !layered(f) && f.Name != configFlag {
			return
		}
		value, ok := lookup(EnvName(f.Name))
		if !ok || value == "" {
			return
		}
		for _, item := range items(f, value) {
			if err := fs.Set(f.Name, item); err != nil {
				errs = append(errs, fmt.Errorf("environment variable %s: %q is no value for --%s: %w",
					EnvName(f.Name), item, f.Name, cause(err)))
			}
		}
		given[f.Name] = true
	})
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if fs.Lookup(configFlag) == nil {
		return nil
	}
	path, err := fs.GetString(configFlag)
	if err != nil || path == "" {
		return err
	}
	return layerFile(fs, path, given)
}

func layerFile(fs *pflag.FlagSet, path string, given map[string]bool) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	defer file.Close()
	settings, err := parseFile(file)
	if err != nil {
		return fmt.Errorf("%s:%w", path, err)
	}
	seen := make(map[string]int)
	for _, s := range settings {
		f := fs.Lookup(s.key)
		if f == nil || !layered(f) {
			return fmt.Errorf("%s:%d: %q is no setting of this command", path, s.line, s.key)
		}
		if first := seen[s.key]; first != 0 && !isList(f) {
			return fmt.Errorf("%s:%d: %q is set in line %d already", path, s.line, s.key, first)
		}
		seen[s.key] = s.line
		if given[s.key] {
			continue
		}
		if err := fs.Set(s.key, s.value); err != nil {
			return fmt.Errorf("%s:%d: %q is no value for %q: %w", path, s.line, s.value, s.key, cause(err))
		}
	}
	return nil
}

// layered reports whether f is a setting at all; help, version and the file itself are not.
func layered(f *pflag.Flag) bool {
	return f.Name != "help" && f.Name != "version" && f.Name != configFlag
}

// isList reports whether setting f again adds to it.
func isList(f *pflag.Flag) bool {
	_, slice := f.Value.(pflag.SliceValue)
	return slice || strings.HasPrefix(f.Value.Type(), "stringTo")
}

// items are what a variable of the environment holds of f: more than one of a list that takes each by itself.
func items(f *pflag.Flag, value string) []string {
	if f.Value.Type() != "stringArray" {
		return []string{value}
	}
	var list []string
	start, open := 0, 0
	for i, c := range value {
		switch {
		case c == '(':
			open++
		case c == ')':
			open--
		case c == ',' && open <= 0:
			list = append(list, value[start:i])
			start = i + 1
		}
	}
	return append(list, value[start:])
}

// cause strips what pflag says about a bad value, which our own text says better.
func cause(err error) error {
	if invalid := new(pflag.InvalidValueError); errors.As(err, &invalid) {
		return invalid.Unwrap()
	}
	return err
}
