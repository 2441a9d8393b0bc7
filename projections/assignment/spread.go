package assignment

import (
	"cmp"
	"slices"
)

// Situation is what shards are spread over. Ids in a list are distinct; no id is both alive and suspect.
type Situation struct {
	Shards  []string
	Alive   []string          // workers that shards may be given to
	Suspect []string          // workers that keep what they have and are given nothing
	Held    map[string]string // by shard, the worker that has it; of no interest when it is in neither list
	Balance bool              // shards may be taken from workers that are well, so that others have as many
}

// Layout says who has what. Lists are sorted.
type Layout struct {
	Workers map[string][]string // by worker, at least one shard each
	Waiting []string            // shards that nobody has, because nobody is alive
	Bound   int                 // the most that a worker has, and at least the fair share
}

// FairShare is ⌈shards / alive workers⌉, where those of suspect workers do not count.
func (s Situation) FairShare() int {
	if len(s.Alive) == 0 {
		return 0
	}
	free := 0
	for _, shard := range s.Shards {
		if !slices.Contains(s.Suspect, s.Held[shard]) {
			free++
		}
	}
	return (free + len(s.Alive) - 1) / len(s.Alive)
}

// Spread gives every shard to a worker. It is a pure function: the same situation, in whatever order it is named, gives the
// same layout.
//
// With Balance no alive worker has more than the fair share, and of all layouts of which this is true, and in which suspect
// workers keep what they have, none moves fewer shards: those that no worker has, and what a worker has above the fair
// share. Without Balance only those move that no worker has, and nobody is given more than the fair share.
func Spread(s Situation) Layout {
	shares := make(map[string]*share)
	alive := make([]*share, 0, len(s.Alive))
	for _, id := range slices.Sorted(slices.Values(s.Alive)) {
		alive = append(alive, &share{id: id})
		shares[id] = alive[len(alive)-1]
	}
	for _, id := range s.Suspect {
		shares[id] = &share{id: id}
	}
	var free []string
	for _, shard := range slices.Sorted(slices.Values(s.Shards)) {
		if holder := shares[s.Held[shard]]; holder != nil {
			holder.shards = append(holder.shards, shard)
		} else {
			free = append(free, shard)
		}
	}
	fair := s.FairShare()
	if s.Balance {
		for _, w := range alive {
			if len(w.shards) > fair {
				free = append(free, w.shards[fair:]...)
				w.shards = w.shards[:fair]
			}
		}
		slices.Sort(free)
	}
	out := Layout{Workers: make(map[string][]string), Bound: fair}
	if len(alive) == 0 {
		out.Waiting = free
		free = nil
	}
	for _, shard := range free {
		w := slices.MinFunc(alive, (*share).compare)
		w.shards = append(w.shards, shard)
	}
	for id, w := range shares {
		if len(w.shards) > 0 {
			slices.Sort(w.shards)
			out.Workers[id] = w.shards
			out.Bound = max(out.Bound, len(w.shards))
		}
	}
	return out
}

// share is what one worker has.
type share struct {
	id     string
	shards []string
}

// compare puts who has fewer first.
func (a *share) compare(b *share) int {
	return cmp.Or(cmp.Compare(len(a.shards), len(b.shards)), cmp.Compare(a.id, b.id))
}
