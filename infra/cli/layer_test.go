package cli_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"rollcall/infra/cli"
)

// settings is a flag set with one flag of each kind that matters to layering.
type settings struct {
	*pflag.FlagSet
	cluster *string
	timeout *time.Duration
	join    *[]string
	tag     *map[string]string
	match   *[]string
}

func newSettings(t *testing.T, args ...string) settings {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	fs.String("config", "", "")
	s := settings{
		FlagSet: fs,
		cluster: fs.String("cluster", "default", ""),
		timeout: fs.Duration("leave-timeout", 5*time.Second, ""),
		join:    fs.StringSlice("join", nil, ""),
		tag:     fs.StringToString("tag", nil, ""),
		match:   fs.StringArray("match", []string{"default"}, ""),
	}
	fs.BoolP("help", "h", false, "")
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return s
}

func env(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFlagsWinOverEnvironmentOverFileOverDefault(t *testing.T) {
	file := write(t, "cluster: file\n")
	vars := map[string]string{"ROLLCALL_CLUSTER": "env"}
	for _, c := range []struct {
		name string
		args []string
		vars map[string]string
		want string
	}{
		{"default", nil, nil, "default"},
		{"file", []string{"--config", file}, nil, "file"},
		{"environment", []string{"--config", file}, vars, "env"},
		{"flag", []string{"--config", file, "--cluster", "flag"}, vars, "flag"},
		{"flag set to the default", []string{"--config", file, "--cluster", "default"}, vars, "default"},
		{"file named by the environment", nil, map[string]string{"ROLLCALL_CONFIG": file}, "file"},
		{"empty variable", []string{"--config", file}, map[string]string{"ROLLCALL_CLUSTER": ""}, "file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSettings(t, c.args...)
			if err := cli.Layer(s.FlagSet, env(c.vars)); err != nil {
				t.Fatal(err)
			}
			if *s.cluster != c.want {
				t.Errorf("cluster %q, want %q", *s.cluster, c.want)
			}
		})
	}
}

func TestFile(t *testing.T) {
	s := newSettings(t, "--config", write(t, strings.Join([]string{
		"# a member of the first room",
		"",
		"cluster: \"a: b # c\"  # quoted",
		"leave-timeout: 2s # a comment",
		"join: 10.0.0.1:7946,10.0.0.2:7946",
		"join: 10.0.0.3:7946",
		"tag: zone=a#1",
		"tag: role=web\r",
	}, "\n")))
	if err := cli.Layer(s.FlagSet, env(nil)); err != nil {
		t.Fatal(err)
	}
	if *s.cluster != "a: b # c" || *s.timeout != 2*time.Second {
		t.Errorf("cluster %q, timeout %v", *s.cluster, *s.timeout)
	}
	if want := []string{"10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.3:7946"}; !slices.Equal(*s.join, want) {
		t.Errorf("join %q, want %q", *s.join, want)
	}
	if tags := *s.tag; len(tags) != 2 || tags["zone"] != "a#1" || tags["role"] != "web" {
		t.Errorf("tags %v", tags)
	}
}

func TestListsDoNotAddUpAcrossLayers(t *testing.T) {
	s := newSettings(t, "--config", write(t, "join: file:1\n"))
	if err := cli.Layer(s.FlagSet, env(map[string]string{"ROLLCALL_JOIN": "env:1,env:2"})); err != nil {
		t.Fatal(err)
	}
	if want := []string{"env:1", "env:2"}; !slices.Equal(*s.join, want) {
		t.Errorf("join %q, want %q", *s.join, want)
	}
}

// A list whose items are given one by one on the command line is one of several items in the environment, too.
func TestListsInTheEnvironment(t *testing.T) {
	for value, want := range map[string][]string{
		"role=web":                   {"role=web"},
		"role=web,zone=a":            {"role=web", "zone=a"},
		"zone in (a,b),role=web,!up": {"zone in (a,b)", "role=web", "!up"},
		"zone in (a,b":               {"zone in (a,b"},
		"a)b,c":                      {"a)b", "c"},
	} {
		s := newSettings(t)
		if err := cli.Layer(s.FlagSet, env(map[string]string{"ROLLCALL_MATCH": value})); err != nil {
			t.Errorf("%q: %v", value, err)
		}
		if !slices.Equal(*s.match, want) {
			t.Errorf("%q: %q, want %q", value, *s.match, want)
		}
	}
	s := newSettings(t, "--match", "zone=a,b")
	if err := cli.Layer(s.FlagSet, env(map[string]string{"ROLLCALL_MATCH": "c,d"})); err != nil {
		t.Fatal(err)
	}
	if want := []string{"zone=a,b"}; !slices.Equal(*s.match, want) {
		t.Errorf("given on the command line: %q, want %q", *s.match, want)
	}
}

func TestLayerRefuses(t *testing.T) {
	for _, c := range []struct {
		name, file string
		vars       map[string]string
		want       []string // in the error
	}{
		{name: "unknown key", file: "cluster: a\nclutser: b\n", want: []string{"settings.yaml:2", `"clutser" is no setting`}},
		{name: "a flag that is no setting", file: "help: true\n", want: []string{":1", `"help"`}},
		{name: "bad value in the file", file: "\nleave-timeout: soon\n", want: []string{":2", `"soon" is no value for "leave-timeout"`}},
		{name: "twice", file: "cluster: a\ncluster: b\n", want: []string{":2", "in line 1 already"}},
		{name: "no colon", file: "cluster a\n", want: []string{":1", "key: value"}},
		{name: "no blank", file: "cluster:a\n", want: []string{":1", "blank"}},
		{name: "nested", file: "tag:\n  role: web\n", want: []string{":2", "nested"}},
		{name: "list", file: "join:\n- a:1\n", want: []string{":2", "repeat the key"}},
		{name: "open quote", file: "cluster: \"a\n", want: []string{":1", "quote does not end"}},
		{name: "after a quote", file: "cluster: \"a\"b\n", want: []string{":1", "follows the quoted value"}},
		{name: "line too long", file: "cluster: " + strings.Repeat("a", 1<<17), want: []string{":1", "too long"}},
		{
			name: "bad value in the environment", vars: map[string]string{"ROLLCALL_LEAVE_TIMEOUT": "soon"},
			want: []string{"ROLLCALL_LEAVE_TIMEOUT", `"soon"`, "--leave-timeout"},
		},
		{
			name: "file that is not there", vars: map[string]string{"ROLLCALL_CONFIG": "nowhere.yaml"},
			want: []string{"nowhere.yaml"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var args []string
			if c.file != "" {
				args = []string{"--config", write(t, c.file)}
			}
			err := cli.Layer(newSettings(t, args...).FlagSet, env(c.vars))
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q: %v", want, err)
				}
			}
		})
	}
}
