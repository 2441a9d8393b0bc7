package projections

import "time"

// Parts are the names and versions of what a state is made of.
var Parts = parts

// AddDelay adds one delay, as a node's ledger does.
func AddDelay(d *Delays, took time.Duration) {
	var none *fewDelays
	one := none.and(took).all()
	d.plus(&one)
}
