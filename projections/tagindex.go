package projections

import (
	"slices"
	"strings"
)

// tagIndex says which rows of a registry have a tag at a value, by their numbers, which rise. A tag expression as a rule names
// one node in many, and looking at every node's tags for it takes as long as everything else that an answer takes.
type tagIndex map[tagValue][]uint32

type tagValue struct{ key, value string }

// indexOf returns the index of rows.
func indexOf(rows *table[*Node]) tagIndex {
	x := make(tagIndex)
	for n := range uint32(rows.rows) {
		x.add(rows.at(n).value, n)
	}
	return x
}

// move takes note that row n is of node after now, and was of before; nil where there was none.
func (x tagIndex) move(n uint32, before, after *Node) {
	x.remove(before, n)
	x.add(after, n)
}

func (x tagIndex) add(node *Node, n uint32) {
	for key, value := range node.Tags {
		tag := tagValue{key, value}
		if i, found := slices.BinarySearch(x[tag], n); !found {
			x[tag] = slices.Insert(x[tag], i, n)
		}
	}
}

func (x tagIndex) remove(node *Node, n uint32) {
	if node == nil {
		return
	}
	for key, value := range node.Tags {
		tag := tagValue{key, value}
		i, found := slices.BinarySearch(x[tag], n)
		switch {
		case found && len(x[tag]) == 1:
			delete(x, tag)
		case found:
			x[tag] = slices.Delete(x[tag], i, i+1)
		}
	}
}

// narrow returns the rows that pass the terms of sel which name values; ok is false when none does. The slice is the caller's.
func (x tagIndex) narrow(sel Selector) (rows []uint32, ok bool) {
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
func (x tagIndex) of(t *term) []uint32 {
	if len(t.values) == 1 {
		return x[tagValue{t.key, t.values[0]}]
	}
	var all []uint32
	for _, value := range t.values {
		all = append(all, x[tagValue{t.key, value}]...)
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

// narrow asks the index, which is made when it is first asked. What is frozen has none: it is asked a few times at most.
func (r *Registry) narrow(sel Selector) ([]uint32, bool) {
	if r.frozen {
		return nil, false
	}
	index := r.tagged.Load()
	if index == nil {
		made := indexOf(&r.rows)
		index = &made
		r.tagged.Store(index)
	}
	return index.narrow(sel)
}
