package integration

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var metricName = regexp.MustCompile(`\brollcall_[a-z_]+`)

// Whatever the dashboard shows, and whatever operators are told to watch, is a metric of a member or of a projector.
func TestWatchedMetricsAreThere(t *testing.T) {
	t.Parallel()
	s := newSite(t, "n1")
	n1, _ := s.startMember("n1")
	s.await("n1", "alive", 1)
	there := map[string]bool{}
	for _, from := range []string{s.http, n1.logged("serving health and metrics", "http")} {
		metrics, err := fetch(t.Context(), "http://"+from+"/metrics")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(metrics) {
			if name := metricName.FindString(line); name != "" && strings.HasPrefix(line, name) {
				there[name] = true
			}
		}
	}
	for _, file := range []string{"../../infra/grafana/rollcall.json", "../../docs/operations.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		watched := metricName.FindAllString(string(text), -1)
		if len(watched) < 5 {
			t.Errorf("%s names %q only", file, watched)
		}
		for _, name := range watched {
			if !there[name] {
				t.Errorf("%s: %s is no metric of a projector or a member", file, name)
			}
		}
	}
}
