package cli

import (
	"io"
	"log/slog"

	"github.com/spf13/pflag"

	"rollcall/infra/telemetry"
)

// Logging is what the flags --log-level and --log-format say.
type Logging struct {
	Level  slog.Level
	Format telemetry.LogFormat
}

// LoggingFlags adds --log-level, by default level, and --log-format to fs; the values are there once the flags are parsed.
func LoggingFlags(fs *pflag.FlagSet, level slog.Level) *Logging {
	l := &Logging{}
	fs.TextVar(&l.Level, "log-level", level, "log what is at least `LEVEL`: debug, info, warn or error")
	fs.TextVar(&l.Format, "log-format", telemetry.LogText, "log in this `FORMAT`: text or json")
	return l
}

// Logger writes to w, which is the command's ErrOrStderr.
func (l *Logging) Logger(w io.Writer) *slog.Logger { return telemetry.NewLogger(w, l.Level, l.Format) }
