package projections

import (
	"iter"
	"slices"
	"sort"
	"strings"
)

// chunkMax is how many rows one chunk holds before it is split. A write after a copy moves one chunk, so larger ones make
// writes dearer, and smaller ones copies.
const chunkMax = 64

// table holds a value for each id, by rising id. A copy costs one pointer a chunk and shares the rows: a chunk belongs to
// the table that made it, and any other one writes to a chunk of its own. So readers may keep a copy for as long as they
// like while the fold goes on.
type table[T any] struct {
	chunks []chunk[T] // none is empty
	rows   int
	owner  *owner
}

type chunk[T any] struct {
	first string // the id of its first row, where a search finds it
	of    *owner // who may write to rows
	rows  []row[T]
}

type row[T any] struct {
	id    string
	value T
}

// owner is told from another by its address.
type owner struct{ _ byte }

// clone returns a table that stays as it is while t goes on.
func (t *table[T]) clone() table[T] {
	t.owner = &owner{}
	return table[T]{chunks: slices.Clone(t.chunks), rows: t.rows, owner: &owner{}}
}

// find returns where id is, or where it would have to be put: in which chunk, and at which place in it.
func (t *table[T]) find(id string) (c, i int, found bool) {
	c = sort.Search(len(t.chunks), func(c int) bool { return t.chunks[c].first > id }) - 1
	if c < 0 {
		return 0, 0, false
	}
	i, found = slices.BinarySearchFunc(t.chunks[c].rows, id, func(r row[T], id string) int { return strings.Compare(r.id, id) })
	return c, i, found
}

func (t *table[T]) get(id string) (value T, ok bool) {
	c, i, found := t.find(id)
	if !found {
		return value, false
	}
	return t.chunks[c].rows[i].value, true
}

// ref returns the place of id's value, to be written before the next call of any method; of a new id, the zero value.
func (t *table[T]) ref(id string) *T {
	if t.owner == nil {
		t.owner = &owner{}
	}
	c, i, found := t.find(id)
	if len(t.chunks) == 0 {
		t.chunks = append(t.chunks, chunk[T]{of: t.owner})
	}
	if t.chunks[c].of != t.owner {
		t.chunks[c].rows, t.chunks[c].of = slices.Clone(t.chunks[c].rows), t.owner
	}
	if found {
		return &t.chunks[c].rows[i].value
	}
	t.rows++
	k := &t.chunks[c]
	k.rows = slices.Insert(k.rows, i, row[T]{id: id})
	k.first = k.rows[0].id
	if len(k.rows) <= chunkMax {
		return &k.rows[i].value
	}
	half := len(k.rows) / 2
	behind := chunk[T]{first: k.rows[half].id, of: t.owner, rows: slices.Clone(k.rows[half:])}
	k.rows = slices.Clone(k.rows[:half])
	t.chunks = slices.Insert(t.chunks, c+1, behind)
	if i < half {
		return &t.chunks[c].rows[i].value
	}
	return &t.chunks[c+1].rows[i-half].value
}

// push puts a value behind all others. It reports false, and does nothing, when id does not come after them.
func (t *table[T]) push(id string, value T) bool {
	if t.owner == nil {
		t.owner = &owner{}
	}
	n := len(t.chunks) - 1
	if n >= 0 && t.chunks[n].rows[len(t.chunks[n].rows)-1].id >= id {
		return false
	}
	if n < 0 || len(t.chunks[n].rows) == chunkMax || t.chunks[n].of != t.owner {
		t.chunks = append(t.chunks, chunk[T]{first: id, of: t.owner, rows: make([]row[T], 0, chunkMax)})
		n++
	}
	t.chunks[n].rows = append(t.chunks[n].rows, row[T]{id, value})
	t.rows++
	return true
}

// all yields every id with its value, by id.
func (t *table[T]) all() iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		for _, c := range t.chunks {
			for i := range c.rows {
				if !yield(c.rows[i].id, c.rows[i].value) {
					return
				}
			}
		}
	}
}
