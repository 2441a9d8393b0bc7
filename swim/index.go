package swim

// index finds a member's ref by its id: open addressing with linear probing over the hashes that the rows keep anyway. A
// Go map would take six times the memory, which is what decides how many members a machine can simulate.
type index struct {
	slots []int32 // ref + 1; 0: never used; gone: used before
	live  int     // slots with a ref
	used  int     // slots that are not 0
}

const (
	indexGone  = -1
	indexFirst = 16 // slots of the first table
)

// findID returns the ref of id, or noRef. The bytes of an id in a packet do.
func findID[T ID | []byte](x *index, members []*member, hash uint64, id T) int32 {
	if len(x.slots) == 0 {
		return noRef
	}
	mask := uint64(len(x.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		switch slot := x.slots[i]; {
		case slot == 0:
			return noRef
		case slot != indexGone:
			if m := members[slot-1]; m.hash == hash && string(m.id) == string(id) {
				return slot - 1
			}
		}
	}
}

// put adds a ref that is not there yet.
func (x *index) put(members []*member, ref int32) {
	if 4*(x.used+1) > 3*len(x.slots) {
		x.grow(members)
	}
	mask := uint64(len(x.slots) - 1)
	i := members[ref].hash & mask
	for x.slots[i] > 0 {
		i = (i + 1) & mask
	}
	if x.slots[i] == 0 {
		x.used++
	}
	x.slots[i] = ref + 1
	x.live++
}

// grow makes room, or just sweeps out what is gone.
func (x *index) grow(members []*member) {
	size := max(len(x.slots), indexFirst)
	for 2*(x.live+1) > size {
		size *= 2
	}
	old := x.slots
	*x = index{slots: make([]int32, size)}
	for _, slot := range old {
		if slot > 0 {
			x.put(members, slot-1)
		}
	}
}

// drop forgets a ref whose row is still there.
func (x *index) drop(members []*member, ref int32) {
	mask := uint64(len(x.slots) - 1)
	for i := members[ref].hash & mask; x.slots[i] != 0; i = (i + 1) & mask {
		if x.slots[i] == ref+1 {
			x.slots[i] = indexGone
			x.live--
			return
		}
	}
}
