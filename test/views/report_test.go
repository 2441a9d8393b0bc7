package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// A quantile is the nearest rank: the smallest value that so many percent are not above.
func TestQuantilesAreNearestRanks(t *testing.T) {
	ms := func(list ...int) (took []time.Duration) {
		for _, n := range list {
			took = append(took, time.Duration(n)*time.Millisecond)
		}
		return took
	}
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100-i) * time.Millisecond
	}
	for name, tc := range map[string]struct {
		took    []time.Duration
		percent int
		want    float64
	}{
		"one":                       {ms(7), 99, 7},
		"the middle of three":       {ms(3, 1, 2), 50, 2},
		"the middle of four":        {ms(4, 3, 1, 2), 50, 2},
		"the largest":               {ms(4, 3, 1, 2), 100, 4},
		"p99 of few is the largest": {ms(5, 1, 1, 1, 1, 1, 1, 1, 1, 1), 99, 5},
		"p90 of ten":                {ms(10, 9, 8, 7, 6, 5, 4, 3, 2, 1), 90, 9},
		"p99 of a hundred":          {hundred, 99, 99},
	} {
		if got := rank(tc.took, tc.percent); got != tc.want {
			t.Errorf("%s: %v ms, want %v", name, got, tc.want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tc := range []struct{ values, want []float64 }{
		{[]float64{5}, []float64{5}}, {[]float64{9, 1, 5}, []float64{5}}, {[]float64{4, 1, 3, 2}, []float64{2}},
	} {
		first := tc.values[0]
		if got := median(tc.values); got != tc.want[0] || tc.values[0] != first {
			t.Errorf("%v: %v, want %v, left as it was", tc.values, got, tc.want[0])
		}
	}
}

// With -strict, and only then, a figure beyond its bound fails the run, and so does one of which nothing was measured.
func TestVerdictNamesWhatDoesNotHold(t *testing.T) {
	long := []time.Duration{time.Second}
	for name, tc := range map[string]struct {
		print func(*report)
		holds bool
	}{
		"above, and may be":       {func(r *report) { r.bound("it", 61, 60, atLeast, "%") }, true},
		"at the bound from above": {func(r *report) { r.bound("it", 60, 60, atLeast, "%") }, true},
		"below, and must not be":  {func(r *report) { r.bound("it", 59.9, 60, atLeast, "%") }, false},
		"at the bound from below": {func(r *report) { r.bound("it", 2, 2, atMost, "s") }, true},
		"above, and must not be":  {func(r *report) { r.bound("it", 2.1, 2, atMost, "s") }, false},
		"quick":                   {func(r *report) { r.latency("it", long, time.Second) }, true},
		"slow":                    {func(r *report) { r.latency("it", long, time.Second-1) }, false},
		"not measured":            {func(r *report) { r.latency("it", nil, time.Second) }, false},
		"without a bound":         {func(r *report) { r.quantiles("it", long) }, true},
	} {
		var out bytes.Buffer
		r := newReport(&out)
		r.bound("another", 1, 2, atMost, "s")
		tc.print(r)
		if err := r.verdict(false); err != nil {
			t.Errorf("%s: not strict, %v", name, err)
		}
		err := r.verdict(true)
		if (err == nil) != tc.holds || err != nil && (!strings.Contains(err.Error(), "it") || strings.Contains(err.Error(), "another")) {
			t.Errorf("%s: %v\n%s", name, err, &out)
		}
		if said := !strings.Contains(out.String(), "DOES NOT HOLD") && !strings.Contains(out.String(), "nothing was measured"); said != tc.holds {
			t.Errorf("%s: printed\n%s", name, &out)
		}
	}
}
