// Package figures shows as metrics what the parts of a service count:
//
//	tel, err := telemetry.New("rollcall-projector", version, cluster)
//	err = figures.Projector(tel, p)
//	mux.Handle("GET /metrics", tel.Handler())
//
// The promise: figures are read when somebody scrapes, and cost nothing before. What is measured knows no metric.
//
// Limit: one projector for each Telemetry, whose figures carry no name of their own.
package figures

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"rollcall/events"
	"rollcall/infra/telemetry"
	"rollcall/projections"
	"rollcall/projections/projector"
)

// Projector registers with tel what the status and the views of p say: rollcall.projector.… and rollcall.nodes. It fails
// only when the telemetry refuses an instrument.
func Projector(tel *telemetry.Telemetry, p *projector.Projector) error {
	meter := tel.Meter("rollcall/infra/figures")
	var gauges []metric.Observable
	var failed error
	gauge := func(name, unit, help string) metric.Float64ObservableGauge {
		g, err := meter.Float64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(help))
		if err != nil && failed == nil {
			failed = fmt.Errorf("metric %s: %w", name, err)
		}
		gauges = append(gauges, g)
		return g
	}
	position := gauge("rollcall.projector.position", "", "Position of the last event folded.")
	lagEvents := gauge("rollcall.projector.lag.events", "{event}", "Events in the log that are not folded yet.")
	lagSeconds := gauge("rollcall.projector.lag", "s", "Time since the views were last known to hold everything, 0 while they do and the log answers.")
	ready := gauge("rollcall.projector.ready", "", "1 while the views can be read.")
	rejected := gauge("rollcall.projector.rejected", "{event}", "Events that could not be read.")
	nodes := gauge("rollcall.nodes", "{node}", "Nodes on the roll, by state.")
	if failed != nil {
		return failed
	}
	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		status := p.Status()
		o.ObserveFloat64(position, float64(status.Position))
		o.ObserveFloat64(lagEvents, float64(status.Lag.Events))
		o.ObserveFloat64(lagSeconds, status.Lag.Seconds)
		o.ObserveFloat64(rejected, float64(status.RejectedTotal))
		up := 0.0
		if status.Ready {
			up = 1
		}
		o.ObserveFloat64(ready, up)
		counts := map[events.State]int{events.StateAlive: 0, events.StateSuspect: 0, events.StateFailed: 0, events.StateLeft: 0}
		p.View(func(v *projections.Views) {
			for _, n := range v.Registry.Nodes() {
				counts[n.State]++
			}
		})
		for state, count := range counts {
			o.ObserveFloat64(nodes, float64(count), metric.WithAttributes(attribute.String("state", state.String())))
		}
		return nil
	}, gauges...)
	return err
}
