package projections

import "slices"

// Sizes of the blocks that bodies are kept in, in bytes: the first of a history is of the one, and each further one twice as
// large, up to the other. A block holds one body at least. Larger ones leave more of the oldest to be held for nothing,
// smaller ones more room at their ends.
const (
	blockMin = 512
	blockMax = 2048
)

// bodies holds what the entries of a history say, oldest first, in blocks, so that what is put in never has to be moved and what
// is dropped gives its memory back. A body lies in one block.
//
// Copies share the blocks: what is in them is never written to again, and what is behind them belongs to the one that goes on.
type bodies struct {
	full [][]byte
	open []byte // the newest block, which may have room
	gone int    // so many bytes at the beginning of the oldest block are dropped
	size int    // of all that is held
}

// add puts body behind the others.
func (b *bodies) add(body []byte) {
	if cap(b.open)-len(b.open) < len(body) {
		room := max(len(body), min(blockMax, max(blockMin, 2*cap(b.open))))
		if len(b.open) > 0 {
			b.full = append(b.full, b.open)
		}
		b.open = make([]byte, 0, room)
	}
	b.open = append(b.open, body...)
	b.size += len(body)
}

// front is the first n bytes, which must be of one body.
func (b *bodies) front(n int) []byte {
	if len(b.full) > 0 {
		return b.full[0][b.gone : b.gone+n]
	}
	return b.open[b.gone : b.gone+n]
}

// drop lets go of the first n bytes, which must be of one body.
func (b *bodies) drop(n int) {
	b.gone += n
	b.size -= n
	switch {
	case b.size == 0:
		*b = bodies{}
	case len(b.full) > 0 && b.gone == len(b.full[0]):
		b.full, b.gone = b.full[1:], 0
	}
}

// encode writes them as one.
func (b *bodies) encode(w *writer) {
	w.uint(uint64(b.size))
	gone := b.gone
	for _, block := range b.full {
		w.buf = append(w.buf, block[gone:]...)
		gone = 0
	}
	if b.size > 0 {
		w.buf = append(w.buf, b.open[gone:]...)
	}
}

// decodeBodies reads what encode wrote, into one block.
func decodeBodies(rd *reader) bodies {
	raw := rd.bytes()
	return bodies{open: slices.Clip(raw), size: len(raw)}
}

// clip leaves the room behind what is held to the one that made it.
func (b *bodies) clip() {
	b.full, b.open = slices.Clip(b.full), slices.Clip(b.open)
}
