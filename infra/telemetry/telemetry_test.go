package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"rollcall/infra/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newTelemetry(t *testing.T, nodeID string) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.New("rollcall-member", "v0.1.0", nodeID)
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

func scrape(t *testing.T, tel *telemetry.Telemetry) string {
	t.Helper()
	answer := httptest.NewRecorder()
	tel.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("scrape: status %d: %s", answer.Code, answer.Body)
	}
	return answer.Body.String()
}

// line returns the scraped line of a metric, without which the test ends.
func line(t *testing.T, scraped, metric string) string {
	t.Helper()
	for l := range strings.Lines(scraped) {
		if strings.HasPrefix(l, metric+"{") || strings.HasPrefix(l, metric+" ") {
			return strings.TrimSpace(l)
		}
	}
	t.Fatalf("no %s in:\n%s", metric, scraped)
	return ""
}

func TestScrapeShowsWhatWasMeasured(t *testing.T) {
	tel := newTelemetry(t, "n1")
	defer tel.Shutdown(context.Background())
	probes, err := tel.Meter("rollcall/swim/agent").Int64Counter("rollcall.probes")
	if err != nil {
		t.Fatal(err)
	}
	probes.Add(context.Background(), 3)

	scraped := scrape(t, tel)
	if got := line(t, scraped, "rollcall_probes_total"); got != "rollcall_probes_total 3" {
		t.Errorf("counter: %s", got)
	}
	target := line(t, scraped, "target_info")
	for _, label := range []string{`service_name="rollcall-member"`, `service_version="v0.1.0"`, `service_instance_id="n1"`} {
		if !strings.Contains(target, label) {
			t.Errorf("target_info misses %s: %s", label, target)
		}
	}
	line(t, scraped, "go_goroutines")
}

func TestTwoInOneProcessDoNotMix(t *testing.T) {
	first, second := newTelemetry(t, "n1"), newTelemetry(t, "n2")
	defer first.Shutdown(context.Background())
	defer second.Shutdown(context.Background())
	counter, err := first.Meter("test").Int64Counter("only.first")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(context.Background(), 1)

	line(t, scrape(t, first), "only_first_total")
	if scraped := scrape(t, second); strings.Contains(scraped, "only_first") {
		t.Errorf("the second shows the first's metric:\n%s", scraped)
	}
}

func TestShutdownEndsMeasuringAndKeepsAnswering(t *testing.T) {
	tel := newTelemetry(t, "n1")
	counter, err := tel.Meter("test").Int64Counter("gone")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(context.Background(), 1)
	if err := tel.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	counter.Add(context.Background(), 1)
	if err := tel.Shutdown(context.Background()); err != nil {
		t.Errorf("second shutdown: %v", err)
	}

	scraped := scrape(t, tel)
	line(t, scraped, "go_goroutines")
	if strings.Contains(scraped, "gone_total") {
		t.Errorf("measured after shutdown:\n%s", scraped)
	}
}

func TestTracerCarriesTheCallersContext(t *testing.T) {
	tel := newTelemetry(t, "n1")
	defer tel.Shutdown(context.Background())
	caller := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	ctx := trace.ContextWithSpanContext(context.Background(), caller)

	_, span := tel.Tracer("test").Start(ctx, "append")
	if got := span.SpanContext().TraceID(); got != caller.TraceID() {
		t.Errorf("trace id %s, want the caller's %s", got, caller.TraceID())
	}
	if span.IsRecording() {
		t.Error("a span is recorded, and nobody would export it")
	}
}

func TestNewRefusesToBeAnonymous(t *testing.T) {
	for _, names := range [][2]string{{"", "n1"}, {"rollcall-member", ""}} {
		if _, err := telemetry.New(names[0], "v1", names[1]); err == nil {
			t.Errorf("New(%q, _, %q): no error", names[0], names[1])
		}
	}
}

func TestLogger(t *testing.T) {
	var out bytes.Buffer
	logger := telemetry.NewLogger(&out, slog.LevelInfo, telemetry.LogJSON)
	logger.Debug("not shown")
	logger.Info("shown", "node", "n1")
	var got struct{ Level, Msg, Node string }
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("not one JSON object: %v: %s", err, out.String())
	}
	if got.Level != "INFO" || got.Msg != "shown" || got.Node != "n1" {
		t.Errorf("got %+v", got)
	}

	out.Reset()
	telemetry.NewLogger(&out, slog.LevelDebug, telemetry.LogText).Debug("shown", "node", "n1")
	if !strings.HasSuffix(out.String(), " level=DEBUG msg=shown node=n1\n") {
		t.Errorf("text: %q", out.String())
	}
}

func TestLogFormatIsAFlagValue(t *testing.T) {
	for _, name := range []string{"text", "json"} {
		var format telemetry.LogFormat
		if err := format.UnmarshalText([]byte(name)); err != nil {
			t.Fatal(err)
		}
		if text, err := format.MarshalText(); err != nil || string(text) != name {
			t.Errorf("%s came back as %q, %v", name, text, err)
		}
	}
	format := telemetry.LogJSON
	if err := format.UnmarshalText([]byte("xml")); err == nil || format != telemetry.LogJSON {
		t.Errorf("xml: error %v, format %v", err, format)
	}
}
