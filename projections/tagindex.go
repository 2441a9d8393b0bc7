package projections

import (
	"maps"
	"slices"
	"strings"
)

// tagIndex says which rows of a registry have a tag at a value. A tag expression as a rule names one node in many, and looking
// at every node's tags for it takes as long as everything else that an answer takes.
type tagIndex struct {
	rows   map[tagValue][]uint32 // their numbers, which rise; a list is replaced, never written to
	shared bool                  // rows is a copy's too: it is replaced as well
}

type tagValue struct{ key, value string }

// indexOf returns the index of rows.
func indexOf(rows *table[*Node]) *tagIndex {
	x := &tagIndex{rows: make(map[tagValue][]uint32)}
	for n := range uint32(rows.rows) {
		for key, value := range rows.at(n).value.Tags {
			tag := tagValue{key, value}
			x.rows[tag] = append(x.rows[tag], n)
		}
	}
	return x
}

// freeze returns an index that stays as it is while x goes on.
func (x *tagIndex) freeze() *tagIndex {
	if x == nil {
		return nil
	}
	x.shared = true
	return &tagIndex{rows: x.rows, shared: true}
}

// move takes note that row n has tags after now, and had those before.
func (x *tagIndex) move(n uint32, before, after map[string]string) {
	for key, value := range before {
		if now, still := after[key]; !still || now != value {
			x.put(n, tagValue{key, value}, false)
		}
	}
	for key, value := range after {
		if was, already := before[key]; !already || was != value {
			x.put(n, tagValue{key, value}, true)
		}
	}
}

// put makes row n one of those that have tag, or none of them.
func (x *tagIndex) put(n uint32, tag tagValue, has bool) {
	if x.shared {
		x.rows, x.shared = maps.Clone(x.rows), false
	}
	list := x.rows[tag]
	i, found := slices.BinarySearch(list, n)
	switch {
	case found == has:
	case has:
		x.rows[tag] = slices.Insert(slices.Clip(list), i, n)
	case len(list) == 1:
		delete(x.rows, tag)
	default:
		x.rows[tag] = slices.Concat(list[:i], list[i+1:])
	}
}

// narrow returns the rows that pass the terms of sel which name values; ok is false when none does. The slice is the caller's.
func (x *tagIndex) narrow(sel Selector) (rows []uint32, ok bool) {
	for i := range sel.terms {
		t := &sel.terms[i]
		if t.not || t.op != equals && t.op != within {
			continue
		}
		some := x.of(t)
		if !ok {
			rows, ok = slices.Clone(some), true
			continue
		}
		rows = intersect(rows, some)
	}
	return rows, ok
}

// of returns the rows that have one of the values of a term. It is read only.
func (x *tagIndex) of(t *term) []uint32 {
	if len(t.values) == 1 {
		return x.rows[tagValue{t.key, t.values[0]}]
	}
	var all []uint32
	for _, value := range t.values {
		all = append(all, x.rows[tagValue{t.key, value}]...)
	}
	slices.Sort(all)
	return slices.Compact(all) // a value may be named twice
}

// intersect leaves in a what is in b too. Both rise.
func intersect(a, b []uint32) []uint32 {
	left := a[:0]
	for _, n := range a {
		for len(b) > 0 && b[0] < n {
			b = b[1:]
		}
		if len(b) > 0 && b[0] == n {
			left = append(left, n)
		}
	}
	return left
}

// Tagged returns the nodes whose tags the selector chooses, by id, whatever their state. The slice is the caller's.
func (r *Registry) Tagged(sel Selector) []*Node {
	if len(sel.terms) == 0 {
		return r.Nodes()
	}
	var out []*Node
	if rows, ok := r.narrow(sel); ok {
		for _, n := range rows {
			if node := r.rows.at(n).value; sel.Match(node.Tags) {
				out = append(out, node)
			}
		}
		slices.SortFunc(out, func(a, b *Node) int { return strings.Compare(a.ID, b.ID) })
		return out
	}
	for _, node := range r.rows.all() {
		if sel.Match(node.Tags) {
			out = append(out, node)
		}
	}
	return out
}

// narrow asks the index. It is made when it is first asked; where that is a copy of the rows, it has to do without, and the
// next copy has one.
func (r *Registry) narrow(sel Selector) ([]uint32, bool) {
	index := r.tagged.Load()
	switch {
	case index != nil:
	case r.frozen:
		r.asked.Store(true)
		return nil, false
	default:
		index = indexOf(&r.rows)
		r.tagged.Store(index)
	}
	return index.narrow(sel)
}

// frozenIndex returns the index for a copy.
func (r *Registry) frozenIndex() *tagIndex {
	index := r.tagged.Load()
	if index == nil && r.asked.Load() {
		index = indexOf(&r.rows)
		r.tagged.Store(index)
	}
	return index.freeze()
}
