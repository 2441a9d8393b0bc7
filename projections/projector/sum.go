package projector

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"rollcall/projections"
)

// Sum is a hash of the views' state at a position. Two projectors of one log have the same at the same position, whatever was
// skipped on either (invariant I9).
type Sum struct {
	Position uint64
	SHA256   string            // over all views, hexadecimal
	Views    map[string]string // of each view, by name, hexadecimal
}

// sumRest is how many times as long as a sum took no other one is made.
const sumRest = 20

// summed is the last sum, and when there may be a next.
type summed struct {
	sum    Sum
	edited uint64
	next   time.Time
}

// Sum returns the hash of the views, at their present position or, when the last one was made only just now and took long,
// at that of the last: its Position says so. The fold does not wait for it.
func (p *Projector) Sum() Sum {
	p.summing.Lock()
	defer p.summing.Unlock()
	last := &p.summed
	p.mu.RLock()
	fresh := last.sum.SHA256 != "" && last.sum.Position == p.views.Position() && last.edited == p.edited
	p.mu.RUnlock()
	began := p.cfg.Now()
	if fresh || last.sum.SHA256 != "" && began.Before(last.next) {
		return last.sum
	}
	p.mu.Lock()
	views, edited := p.views.Freeze(), p.edited
	p.mu.Unlock()

	sums := views.Sums()
	out := Sum{Position: p.tell(views.Position()), Views: make(map[string]string, len(sums))}
	all := sha256.New()
	for _, v := range projections.Versions() {
		sum := sums[v.Name]
		out.Views[v.Name] = hex.EncodeToString(sum[:])
		_, _ = all.Write(sum[:]) // a hash takes everything
	}
	out.SHA256 = hex.EncodeToString(all.Sum(nil))
	now := p.cfg.Now()
	*last = summed{sum: out, edited: edited, next: now.Add(sumRest * now.Sub(began))}
	return out
}
