package jslog

import "time"

// Inspecting is cfg for a log that looks at its stream so often.
func Inspecting(cfg Config, every time.Duration) Config {
	cfg.inspectEvery = every
	return cfg
}

// PrefetchBytes bounds a pull.
const PrefetchBytes = prefetchBytes
