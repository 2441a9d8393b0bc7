package swim

import (
	"testing"

	"pgregory.net/rapid"
)

// The index against a map, through puts, drops and refs used again.
func TestIndexIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x index
		var members []*member
		var free []int32
		model := map[ID]int32{}
		for range rapid.IntRange(0, 400).Draw(t, "steps") {
			id := nameOf(rapid.IntRange(1, 60).Draw(t, "id"))
			ref, known := model[id]
			switch {
			case !known && len(free) > 0:
				ref, free = free[0], free[1:]
				members[ref] = &member{id: id, hash: hashID(id)}
				x.put(members, ref)
				model[id] = ref
			case !known:
				ref = int32(len(members))
				members = append(members, &member{id: id, hash: hashID(id)})
				x.put(members, ref)
				model[id] = ref
			case rapid.Bool().Draw(t, "drop"):
				x.drop(members, ref)
				members[ref] = nil
				free = append(free, ref)
				delete(model, id)
			}
		}
		for i := 1; i <= 60; i++ {
			want, known := model[nameOf(i)]
			if !known {
				want = noRef
			}
			if got := findID(&x, members, hashID(nameOf(i)), nameOf(i)); got != want {
				t.Fatalf("%s is at %d, want %d", nameOf(i), got, want)
			}
		}
		if x.live != len(model) || 4*x.used > 3*len(x.slots)+4 || len(x.slots) > 16*max(len(model), indexFirst) && len(x.slots) > 256 {
			t.Fatalf("%d live, %d used of %d slots, for %d ids", x.live, x.used, len(x.slots), len(model))
		}
	})
}
