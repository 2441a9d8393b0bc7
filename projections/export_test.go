package projections

import "time"

// Parts are the names and versions of what a state is made of.
var Parts = parts

// AddDelay adds one delay.
func AddDelay(d *Delays, took time.Duration) {
	millis := uint64(took.Milliseconds())
	d.SumMillis += millis
	d.classes[classOf(millis)]++
}
