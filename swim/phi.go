package swim

import (
	"math"
	"time"
)

const (
	// phiWindow is how many intervals an edge remembers.
	phiWindow = 64
	// phiSamples is how many it needs before it says anything.
	phiSamples = 4
	// PhiThreshold is the suspicion level at which the health checker reports a peer: the present silence would be this
	// long once in 10^8 intervals.
	PhiThreshold = 8
)

// PhiDetector is the φ accrual failure detector of Hayashibara, Défago, Yared and Katayama (SRDS 2004): from the intervals
// at which something was heard it tells how unlikely the present silence is, φ = −log10 P(interval > silence), with
// intervals taken as normally distributed. It reads no clock. The zero value is ready.
type PhiDetector struct {
	intervals  [phiWindow]float64 // seconds, the oldest overwritten
	count      int                // intervals seen in all
	sum        float64
	sumSquares float64
	last       time.Duration
	heard      bool
}

// Heard notes that something was heard at now. Times must not run backwards; an interval of 0 is not counted.
func (p *PhiDetector) Heard(now time.Duration) {
	if p.heard && now > p.last {
		p.add((now - p.last).Seconds())
	}
	p.last, p.heard = now, true
}

func (p *PhiDetector) add(interval float64) {
	slot := &p.intervals[p.count%phiWindow]
	p.sum += interval - *slot
	p.sumSquares += interval*interval - *slot**slot
	*slot = interval
	p.count++
}

// Phi is the suspicion level at now; 0 until enough was heard. floor is the least standard deviation assumed, more than 0:
// a peer that was never late is not suspected for being late by a scheduler's tick.
func (p *PhiDetector) Phi(now, floor time.Duration) float64 {
	if p.count < phiSamples || now <= p.last {
		return 0
	}
	n := float64(min(p.count, phiWindow))
	mean := p.sum / n
	deviation := max(math.Sqrt(max(p.sumSquares/n-mean*mean, 0)), floor.Seconds())
	return phi(((now - p.last).Seconds() - mean) / deviation)
}

// phi is −log10 of the upper tail of the standard normal distribution at z. Beyond z = 30 the tail underflows long before
// φ does, so its asymptotic series takes over (Abramowitz and Stegun 26.2.12, four terms: relative error below 1e-9 there).
func phi(z float64) float64 {
	if z < 30 {
		return -math.Log10(math.Erfc(z/math.Sqrt2) / 2)
	}
	q := 1 / (z * z)
	series := 1 - q*(1-3*q*(1-5*q*(1-7*q)))
	return (z*z/2 + math.Log(z) + math.Log(2*math.Pi)/2 - math.Log(series)) / math.Ln10
}
