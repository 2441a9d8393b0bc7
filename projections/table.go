package projections

import (
	"iter"
	"slices"
	"sort"
	"strings"
)

// chunkMax is how many rows one chunk holds. A write after a copy moves one chunk, so larger ones make writes dearer, and
// smaller ones copies.
const chunkMax = 64

// table holds a value for each id, by rising id. A copy costs one pointer a chunk and shares the rows: a chunk belongs to
// the table that made it, and any other one writes to a chunk of its own. So readers may keep a copy for as long as they
// like while the fold goes on.
//
// Rows stay where they were put, in the order in which their ids first came, and what is sorted is their numbers. Ids are searched
// for, except by a fold, which writes for every event: it remembers the places of the rows, see refBy.
type table[T any] struct {
	chunks []chunk[T] // row n is rows[n%chunkMax] of chunk n/chunkMax; all but the last are full
	rows   int
	order  []uint32 // the numbers of the rows, by rising id
	shared bool     // order is a copy's too: it is replaced, not written to
	places []uint32 // by the caller's number of an id: 1 + the number of its row; 0: not known yet
	owner  *owner
	adopt  func(*T) // called with each value that a chunk of t's own begins with; nil: nothing has to be done
}

type chunk[T any] struct {
	of   *owner // who may write to rows
	rows []row[T]
}

type row[T any] struct {
	id    string
	value T
}

// owner is told from another by its address.
type owner struct{ _ byte }

// clone returns a table that stays as it is while t goes on.
func (t *table[T]) clone() table[T] {
	t.owner, t.shared = &owner{}, true
	return table[T]{chunks: slices.Clone(t.chunks), rows: t.rows, order: t.order, shared: true, owner: &owner{}}
}

// fork returns a table that begins as t is and may be written to. Nobody may write to t any more, so it may be forked, and
// read, from any goroutine. adopt makes a value that t has too one that may go on by itself.
func (t *table[T]) fork(adopt func(*T)) table[T] {
	return table[T]{chunks: slices.Clone(t.chunks), rows: t.rows, order: t.order, shared: true, adopt: adopt}
}

func (t *table[T]) at(number uint32) *row[T] { return &t.chunks[number/chunkMax].rows[number%chunkMax] }

// search returns the place of id in order, or that where it would have to be put.
func (t *table[T]) search(id string) (place int, found bool) {
	return sort.Find(len(t.order), func(i int) int { return strings.Compare(id, t.at(t.order[i]).id) })
}

func (t *table[T]) get(id string) (value T, ok bool) {
	place, found := t.search(id)
	if !found {
		return value, false
	}
	return t.at(t.order[place]).value, true
}

// ref returns the place of id's value, to be written before the next call of any method; of a new id, the zero value.
func (t *table[T]) ref(id string) *T { return t.write(t.rowOf(id)) }

// refBy is ref for a caller who has numbered the ids, from 0 and without gaps, and returns the number of the row as well.
func (t *table[T]) refBy(number int, id string) (value *T, row uint32) {
	if over := number + 1 - len(t.places); over > 0 {
		t.places = append(t.places, make([]uint32, over)...)
	}
	place := &t.places[number]
	if *place == 0 {
		*place = 1 + t.rowOf(id)
	}
	return t.write(*place - 1), *place - 1
}

// rowOf returns the number of id's row, and makes one for a new id.
func (t *table[T]) rowOf(id string) uint32 {
	place, found := t.search(id)
	if found {
		return t.order[place]
	}
	n := t.put(id)
	if t.shared {
		t.order, t.shared = slices.Clone(t.order), false
	}
	t.order = slices.Insert(t.order, place, n)
	return n
}

func (t *table[T]) write(n uint32) *T { return &t.own(n / chunkMax).rows[n%chunkMax].value }

// put adds a row, which is not in order yet, and returns its number.
func (t *table[T]) put(id string) uint32 {
	n := uint32(t.rows)
	if n%chunkMax == 0 {
		t.chunks = append(t.chunks, chunk[T]{})
	}
	k := t.own(n / chunkMax)
	k.rows = append(k.rows, row[T]{id: id})
	t.rows++
	return n
}

// own returns a chunk that t may write to.
func (t *table[T]) own(c uint32) *chunk[T] {
	if t.owner == nil {
		t.owner = &owner{}
	}
	k := &t.chunks[c]
	if k.of != t.owner {
		rows := make([]row[T], len(k.rows), chunkMax)
		copy(rows, k.rows)
		if t.adopt != nil {
			for i := range rows {
				t.adopt(&rows[i].value)
			}
		}
		k.rows, k.of = rows, t.owner
	}
	return k
}

// push puts a value behind all others, into a table that nobody has written to otherwise. It reports false, and does nothing,
// when id does not come after them.
func (t *table[T]) push(id string, value T) bool {
	if n := len(t.order); n > 0 && t.at(t.order[n-1]).id >= id {
		return false
	}
	n := t.put(id)
	t.at(n).value = value
	t.order = append(t.order, n)
	return true
}

// all yields every id with its value, by id.
func (t *table[T]) all() iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		for _, n := range t.order {
			if r := t.at(n); !yield(r.id, r.value) {
				return
			}
		}
	}
}
