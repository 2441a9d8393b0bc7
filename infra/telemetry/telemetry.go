// Package telemetry gives a process its metrics, its traces and its logger. Whatever is measured goes through
// OpenTelemetry; whoever scrapes sees Prometheus:
//
//	tel, err := telemetry.New("rollcall-member", version, nodeID)
//	...
//	defer tel.Shutdown(ctx)
//	probes, err := tel.Meter("rollcall/swim/agent").Int64Counter("rollcall.probes")
//	mux.Handle("GET /metrics", tel.Handler())
//
// The promise: nothing is global. Every Telemetry has a registry of its own, so many members live in one process, each
// with its own /metrics, and a test reads what it measured and nothing else. An instrument of a Telemetry that was shut
// down does nothing and costs next to nothing.
//
// Limits: metrics are pulled, never pushed; traces are not exported, [Telemetry.Tracer] only carries the context of a
// caller along.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// scrapesMax bounds the scrapes answered at once; a further one gets 503. One server scrapes once in seconds, so more
// than a few mean that scrapes take longer than their interval, and answering more of them makes that worse.
const scrapesMax = 4

// Telemetry of one member or service. It is safe for concurrent use.
type Telemetry struct {
	registry *prometheus.Registry
	meters   *sdkmetric.MeterProvider
	tracers  trace.TracerProvider
}

// New returns telemetry that names itself serviceName, version and nodeID (the OpenTelemetry attributes service.name,
// service.version and service.instance.id) in the metric target_info. serviceName and nodeID are required. The metrics
// of the Go runtime and, where the system tells, of the process are there from the start.
func New(serviceName, version, nodeID string) (*Telemetry, error) {
	if serviceName == "" {
		return nil, errors.New("telemetry: serviceName is empty; metrics could not be told from another service's")
	}
	if nodeID == "" {
		return nil, errors.New("telemetry: nodeID is empty; metrics could not be told from another node's")
	}
	registry := prometheus.NewRegistry()
	for _, collector := range []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(collector); err != nil {
			return nil, fmt.Errorf("telemetry: runtime metrics: %w", err)
		}
	}
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, fmt.Errorf("telemetry: prometheus exporter: %w", err)
	}
	meters := sdkmetric.NewMeterProvider(
		sdkmetric.WithReader(exporter),
		sdkmetric.WithResource(resource.NewSchemaless(
			attribute.String("service.name", serviceName),
			attribute.String("service.version", version),
			attribute.String("service.instance.id", nodeID),
		)),
	)
	return &Telemetry{registry: registry, meters: meters, tracers: noop.NewTracerProvider()}, nil
}

// Meter returns the meter of an instrumentation scope, by convention the import path of the package that measures. It
// ends up as the label otel_scope_name. A counter a.b is exported as a_b_total, a histogram in unit "s" as a_b_seconds.
func (t *Telemetry) Meter(name string) metric.Meter { return t.meters.Meter(name) }

// Tracer returns the tracer of an instrumentation scope. Its spans are not recorded; they carry the caller's trace
// context on, which is what an event's traceparent is made of.
func (t *Telemetry) Tracer(name string) trace.Tracer { return t.tracers.Tracer(name) }

// Handler answers a Prometheus scrape, in the text format or OpenMetrics as the scraper asks. It goes on answering after
// Shutdown, with the metrics of the runtime alone.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{
		Registry:            t.registry,
		MaxRequestsInFlight: scrapesMax,
		EnableOpenMetrics:   true,
	})
}

// Shutdown ends measuring. It is idempotent.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if err := t.meters.Shutdown(ctx); err != nil && !errors.Is(err, sdkmetric.ErrReaderShutdown) {
		return fmt.Errorf("telemetry: shut down meters: %w", err)
	}
	return nil
}
