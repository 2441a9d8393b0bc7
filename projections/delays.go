package projections

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// delayClasses is how many classes there are: up to nine hours. What took longer counts in the last.
const delayClasses = 96

// Delays is how long something took, each time. It is kept in classes, each a quarter as wide as what it begins at and a
// millisecond at least, so that it can be added and taken away.
type Delays struct {
	SumMillis uint64
	classes   [delayClasses]uint32 // how many took so long
}

// classOf returns 0 to 3 for as many milliseconds, then four classes for each doubling.
func classOf(millis uint64) int {
	octave := max(0, bits.Len64(millis)-3)
	return min(octave<<2+int(millis>>octave), delayClasses-1)
}

// classEnd is the last millisecond of a class.
func classEnd(class int) uint64 {
	if class < 4 {
		return uint64(class)
	}
	octave := class>>2 - 1
	return uint64(class&3+5)<<octave - 1
}

func (d *Delays) plus(b *Delays) {
	d.SumMillis += b.SumMillis
	for class, n := range b.classes {
		d.classes[class] += n
	}
}

func (d *Delays) minus(b *Delays) {
	d.SumMillis -= b.SumMillis
	for class, n := range b.classes {
		d.classes[class] -= n
	}
}

// Count is how many there were.
func (d *Delays) Count() (n uint64) {
	for _, k := range d.classes {
		n += uint64(k)
	}
	return n
}

// Mean is exact; 0 when there were none.
func (d *Delays) Mean() time.Duration {
	return time.Duration(d.SumMillis/max(1, d.Count())) * time.Millisecond
}

// Percentile returns what p of a hundred, 1 to 100, did not exceed; of that, the end of its class, which is 25 % more at most, and
// exact where there was one. 0 when there were none.
func (d *Delays) Percentile(p int) time.Duration {
	want, seen := (d.Count()*uint64(p)+99)/100, uint64(0)
	for class, n := range d.classes {
		if seen += uint64(n); n > 0 && seen >= want {
			return time.Duration(min(classEnd(class), d.SumMillis)) * time.Millisecond
		}
	}
	return 0
}

// fewDelays is Delays of one node, which has few, by rising class. It is never written to: copies share it.
type fewDelays struct {
	sumMillis uint64
	classes   []delayClass
}

type delayClass struct {
	class uint8
	n     uint32 // how many
}

// and returns d, which may be nil, with one more.
func (d *fewDelays) and(took time.Duration) *fewDelays {
	millis := uint64(took.Milliseconds())
	class, out := uint8(classOf(millis)), &fewDelays{sumMillis: millis}
	if d != nil {
		out.sumMillis += d.sumMillis
		out.classes = slices.Clone(d.classes)
	}
	at, there := slices.BinarySearchFunc(out.classes, class, func(c delayClass, class uint8) int { return cmp.Compare(c.class, class) })
	if !there {
		out.classes = slices.Insert(out.classes, at, delayClass{class: class})
	}
	out.classes[at].n++
	return out
}

// all is d, which may be nil, in full.
func (d *fewDelays) all() (all Delays) {
	if d == nil {
		return all
	}
	all.SumMillis = d.sumMillis
	for _, c := range d.classes {
		all.classes[c.class] = c.n
	}
	return all
}
