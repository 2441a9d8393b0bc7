package telemetry

import (
	"fmt"
	"io"
	"log/slog"
)

// LogFormat is how log lines are written. It implements encoding.TextMarshaler and TextUnmarshaler, and so can be a
// flag. The zero value is LogText.
type LogFormat uint8

// The formats.
const (
	LogText LogFormat = iota // key=value, for people
	LogJSON                  // one JSON object a line, for collectors
)

// String is "text" or "json".
func (f LogFormat) String() string {
	if f == LogJSON {
		return "json"
	}
	return "text"
}

// MarshalText never fails.
func (f LogFormat) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText takes "text" and "json".
func (f *LogFormat) UnmarshalText(text []byte) error {
	switch string(text) {
	case "text":
		*f = LogText
	case "json":
		*f = LogJSON
	default:
		return fmt.Errorf("log format %q: must be text or json", text)
	}
	return nil
}

// NewLogger returns a logger that writes to w what is at level or above. A *slog.LevelVar as level can be changed later.
// Each line is one Write.
func NewLogger(w io.Writer, level slog.Leveler, format LogFormat) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == LogJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
