package natsd

import (
	"fmt"
	"log/slog"
)

// serverLog hands what the server says to a slog.Logger. A fatal message, which would end a nats-server process, goes to
// Start instead: the process here is not the server's to end.
type serverLog struct {
	to    *slog.Logger
	fatal chan string // holds the first one
}

func (l *serverLog) Noticef(format string, v ...any) {
	l.to.Debug("nats: " + fmt.Sprintf(format, v...))
}
func (l *serverLog) Warnf(format string, v ...any)  { l.to.Warn("nats: " + fmt.Sprintf(format, v...)) }
func (l *serverLog) Errorf(format string, v ...any) { l.to.Error("nats: " + fmt.Sprintf(format, v...)) }
func (l *serverLog) Debugf(format string, v ...any) { l.to.Debug("nats: " + fmt.Sprintf(format, v...)) }
func (l *serverLog) Tracef(format string, v ...any) { l.to.Debug("nats: " + fmt.Sprintf(format, v...)) }

func (l *serverLog) Fatalf(format string, v ...any) {
	msg := fmt.Sprintf(format, v...)
	l.to.Error("nats: " + msg)
	select {
	case l.fatal <- msg:
	default:
	}
}
