package jslog

import "github.com/nats-io/nats.go"

// Conn is the connection to the servers, for what lives beside the log on them; nil while there is none. The log closes it, and
// may replace it: ask again after an error.
func (l *Log) Conn() *nats.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.link == nil {
		return nil
	}
	return l.link.nc
}
