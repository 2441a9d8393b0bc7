package projections

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// Bodies come out as they went in, whatever was dropped before them; a copy stays as it is while the other goes on, and so does
// one that was written down and read.
func TestBodiesAreAQueueAndTheirCopiesStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type state struct {
			held bodies
			want [][]byte
		}
		live, kept := state{}, []state(nil)
		for i := range rapid.IntRange(0, 300).Draw(t, "steps") {
			switch n := rapid.IntRange(0, 21).Draw(t, "what"); {
			case n < 12:
				body := bytes.Repeat(fmt.Append(nil, i, ","), rapid.IntRange(1, 2*blockMax/3).Draw(t, "size"))
				live.held.add(body)
				live.want = append(live.want[:len(live.want):len(live.want)], body)
			case n < 19 && len(live.want) > 0:
				live.held.drop(len(live.want[0]))
				live.want = live.want[1:]
			case n == 19:
				kept = append(kept, live)
				live.held.clip()
			case n == 20 && len(kept) > 0: // one that was left goes on, beside the one that went on from it
				i := rapid.IntRange(0, len(kept)-1).Draw(t, "which")
				live, kept[i] = kept[i], live
				live.held.clip()
			default:
				w := &writer{}
				live.held.encode(w)
				live.held = decodeBodies(&reader{buf: w.buf})
			}
		}
		for _, s := range append(kept, live) {
			size := 0
			for _, want := range s.want {
				size += len(want)
			}
			if s.held.size != size {
				t.Fatalf("%d bytes, want %d", s.held.size, size)
			}
			for i, want := range s.want {
				if got := s.held.front(len(want)); !bytes.Equal(got, want) {
					t.Fatalf("body %d is %.40q, want %.40q", i, got, want)
				}
				s.held.drop(len(want))
			}
		}
	})
}

// I15: what is dropped is given back, but for what shares a block with what is kept.
func TestI15DroppedBodiesAreGivenBack(t *testing.T) {
	var held bodies
	body := make([]byte, 300)
	for i := range 10_000 {
		held.add(body)
		if i >= HistoryMax {
			held.drop(len(body))
		}
	}
	room := cap(held.open)
	for _, block := range held.full {
		room += cap(block)
	}
	if most := HistoryMax*len(body)*5/4 + 2*blockMax; room > most {
		t.Errorf("%d bytes are held for %d, want at most %d", room, held.size, most)
	}
}
