package main

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/metric"

	"rollcall"
	"rollcall/events/jslog"
	"rollcall/infra/cli"
	"rollcall/infra/telemetry"
)

// memberMetrics are the figures of one member. They are read from its status when they are scraped: nothing in the
// protocol calls a metric.
type memberMetrics struct {
	*telemetry.Telemetry
}

func newMemberMetrics(id string) (*memberMetrics, error) {
	t, err := telemetry.New("rollcall-member", cli.Version(), id)
	if err != nil {
		return nil, err
	}
	return &memberMetrics{t}, nil
}

// figure is one metric: its name, unit and meaning, and where it is in a status.
type figure struct {
	name, unit, help string
	counter          bool
	value            func(s rollcall.Status) int64
}

var memberFigures = []figure{
	{"rollcall.members.live", "{member}", "Members alive or suspect in this member's view.", false,
		func(s rollcall.Status) int64 { return int64(s.Live) }},
	{"rollcall.local_health", "", "Local health score, 0 (well) to 8.", false,
		func(s rollcall.Status) int64 { return int64(s.Health) }},
	{"rollcall.incarnation", "", "This member's incarnation.", false,
		func(s rollcall.Status) int64 { return int64(s.Self.Incarnation) }},
	{"rollcall.probes", "{probe}", "Probes started.", true,
		func(s rollcall.Status) int64 { return int64(s.Counters.Probes) }},
	{"rollcall.probes.missed", "{probe}", "Probes whose direct pings went unanswered.", true,
		func(s rollcall.Status) int64 { return int64(s.Counters.Missed) }},
	{"rollcall.accusations", "{event}", "Own accusations.", true,
		func(s rollcall.Status) int64 { return int64(s.Counters.Accusations) }},
	{"rollcall.refutations", "{event}", "Own refutations.", true,
		func(s rollcall.Status) int64 { return int64(s.Counters.Refutations) }},
	{"rollcall.verdicts", "{event}", "Own verdicts.", true,
		func(s rollcall.Status) int64 { return int64(s.Counters.Verdicts) }},
	{"rollcall.stalls", "{stall}", "Times this member stood still and held its judgement.", true,
		func(s rollcall.Status) int64 { return int64(s.Counters.Stalls) }},
	{"rollcall.returns.held", "{return}", "Times this member stayed away for a while, because it had failed too often.", true,
		func(s rollcall.Status) int64 { return int64(s.Counters.Held) }},
	{"rollcall.packets.malformed", "{packet}", "Packets that broke a rule of the codec.", true,
		func(s rollcall.Status) int64 { return int64(s.Counters.Malformed) }},
	{"rollcall.inbox.dropped", "{packet}", "Datagrams that found the inbox full.", true,
		func(s rollcall.Status) int64 { return int64(s.Dropped) }},
	{"rollcall.transport.connections", "{connection}", "Open QUIC connections.", false,
		func(s rollcall.Status) int64 { return int64(s.Transport.Connections) }},
	{"rollcall.transport.tethers", "{connection}", "Idle TCP connections whose end tells of the end of a process.", false,
		func(s rollcall.Status) int64 { return int64(s.Transport.Tethers) }},
	{"rollcall.transport.sent", "By", "Datagram bytes handed to QUIC.", true,
		func(s rollcall.Status) int64 { return int64(s.Transport.SentBytes) }},
	{"rollcall.transport.received", "By", "Datagram bytes received.", true,
		func(s rollcall.Status) int64 { return int64(s.Transport.ReceivedBytes) }},
	{"rollcall.transport.refused", "{packet}", "Packets that this host did not let out: a full queue, a firewall, an interface that is down.", true,
		func(s rollcall.Status) int64 { return int64(s.Transport.DroppedByHost) }},
	{"rollcall.transport.replayed", "{packet}", "Packets dropped because they had arrived before.", true,
		func(s rollcall.Status) int64 { return int64(s.Transport.DroppedReplayed) }},
	{"rollcall.transport.foreign", "{packet}", "Packets dropped because they are of no connection, or no QUIC.", true,
		func(s rollcall.Status) int64 { return int64(s.Transport.DroppedForeign) }},
	{"rollcall.outbox.events", "{event}", "Events that wait for the log.", false,
		func(s rollcall.Status) int64 { return int64(s.Outbox) }},
	{"rollcall.outbox.refused", "{event}", "Events that the outbox refused, remembered until it takes them.", false,
		func(s rollcall.Status) int64 { return int64(s.Recorder.Owed) }},
	{"rollcall.outbox.forgotten", "{event}", "Events that the outbox refused and that are lost, for there were too many.", true,
		func(s rollcall.Status) int64 { return int64(s.Recorder.Forgotten) }},
	{"rollcall.outbox.aside", "{event}", "Events that the log would not have, kept until the next start tries them again.", false,
		func(s rollcall.Status) int64 { return int64(s.Recorder.Aside) }},
	{"rollcall.log.appended", "{event}", "Events that the log took from this member.", true,
		func(s rollcall.Status) int64 { return int64(s.Recorder.Appended) }},
	{"rollcall.log.conflicts", "{event}", "Appends that another member's came before.", true,
		func(s rollcall.Status) int64 { return int64(s.Recorder.Conflicts) }},
	{"rollcall.log.denied", "{event}", "Events the log would not let this member say.", true,
		func(s rollcall.Status) int64 { return int64(s.Recorder.Denied) }},
	{"rollcall.log.position", "", "Newest position of the log that this member has read.", false,
		func(s rollcall.Status) int64 { return int64(s.Recorder.Position) }},
	{"rollcall.log.ended", "", "1 when the log was replaced or lost its beginning: the member uses it no more.", false,
		func(s rollcall.Status) int64 { return one(s.Recorder.Ended != nil) }},
}

func one(holds bool) int64 {
	if holds {
		return 1
	}
	return 0
}

// observe registers the figures of a member and of its log.
func (m *memberMetrics) observe(member *rollcall.Member, log *jslog.Log) error {
	meter := m.Meter("rollcall/cmd/member")
	instruments := make([]metric.Int64Observable, len(memberFigures))
	all := make([]metric.Observable, 0, len(memberFigures)+2)
	for i, f := range memberFigures {
		var err error
		if f.counter {
			instruments[i], err = meter.Int64ObservableCounter(f.name, metric.WithUnit(f.unit), metric.WithDescription(f.help))
		} else {
			instruments[i], err = meter.Int64ObservableGauge(f.name, metric.WithUnit(f.unit), metric.WithDescription(f.help))
		}
		if err != nil {
			return fmt.Errorf("metric %s: %w", f.name, err)
		}
		all = append(all, instruments[i])
	}
	connected, err := meter.Int64ObservableGauge("rollcall.log.connected", metric.WithDescription("1 while the log can be reached and is used."))
	if err != nil {
		return fmt.Errorf("metric rollcall.log.connected: %w", err)
	}
	behind, err := meter.Int64ObservableGauge("rollcall.log.copies.behind", metric.WithUnit("{copy}"),
		metric.WithDescription("Copies of the log that have stayed behind the leader's for a minute or longer."))
	if err != nil {
		return fmt.Errorf("metric rollcall.log.copies.behind: %w", err)
	}
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		status := member.Status()
		for i, f := range memberFigures {
			o.ObserveInt64(instruments[i], f.value(status))
		}
		o.ObserveInt64(connected, one(log.Connected() && status.Recorder.Ended == nil))
		o.ObserveInt64(behind, int64(log.CopiesBehind()))
		return nil
	}, append(all, connected, behind)...)
	return err
}
