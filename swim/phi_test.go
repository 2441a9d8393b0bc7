package swim

import (
	"math"
	"math/big"
	"testing"
	"time"
)

// The tail of the normal distribution at z, by its continued fraction in 200-bit arithmetic: exact where a float64 is 0.
func exactPhi(z float64) float64 {
	x := new(big.Float).SetPrec(200).SetFloat64(z)
	fraction := new(big.Float).SetPrec(200).Set(x)
	for k := 400; k >= 1; k-- {
		fraction.Quo(big.NewFloat(float64(k)).SetPrec(200), fraction)
		fraction.Add(fraction, x)
	}
	f, _ := fraction.Float64()
	return (z*z/2 + math.Log(math.Sqrt(2*math.Pi)) + math.Log(f)) / math.Ln10
}

func TestPhiIsExactFarOut(t *testing.T) {
	for _, z := range []float64{3, 5, 8, 20, 29.9, 30, 30.1, 38, 100, 1e4, 1e8} {
		got, want := phi(z), exactPhi(z)
		if math.Abs(got-want) > 1e-9*want {
			t.Errorf("phi at z=%v: %.12f, want %.12f", z, got, want)
		}
	}
	if got := phi(0); math.Abs(got-math.Log10(2)) > 1e-12 {
		t.Errorf("phi at the mean: %v, want log10(2)", got)
	}
	if got := phi(-40); got < 0 || got > 1e-12 {
		t.Errorf("phi far before the mean: %v, want 0", got)
	}
}

func TestPhiDetectorFollowsItsPeer(t *testing.T) {
	var p PhiDetector
	floor := 100 * time.Millisecond
	now := time.Duration(0)
	if p.Phi(time.Hour, floor) != 0 {
		t.Error("a peer that was never heard is suspected")
	}
	for range 3 * phiWindow {
		now += time.Second
		p.Heard(now)
	}
	if got := p.Phi(now+time.Second, floor); math.Abs(got-math.Log10(2)) > 1e-6 {
		t.Errorf("phi at the mean interval: %v", got)
	}
	// With a steady peer the deviation is the floor: phi 8 is 5.6 deviations late.
	at := func(late time.Duration) float64 { return p.Phi(now+time.Second+late, floor) }
	if low, high := at(550*time.Millisecond), at(570*time.Millisecond); low >= PhiThreshold || high <= PhiThreshold {
		t.Errorf("phi %v at 5.5 deviations and %v at 5.7; want the threshold between", low, high)
	}
	if minute, hour := at(time.Minute), at(time.Hour); !(hour > minute) || math.IsInf(hour, 0) {
		t.Errorf("phi after a minute %v, after an hour %v: want finite and rising", minute, hour)
	}
	// The window forgets: after a window of two-second intervals one second is early.
	for range phiWindow {
		now += 2 * time.Second
		p.Heard(now)
	}
	if got := p.Phi(now+time.Second, floor); got > 1e-6 {
		t.Errorf("phi at half the new mean: %v", got)
	}
}
