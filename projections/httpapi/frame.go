package httpapi

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"

	"rollcall/projections/projector"
)

const (
	// framesMax is how many of the last frames are kept for all streams together.
	framesMax = 1024

	// pageBytes is how much memory is taken for frames at a time.
	pageBytes = 256 << 10

	// runMax is how many bytes are sent at a time: each has the client's whole patience, Config.ClientStall.
	runMax = 64 << 10
)

// frame is one event as the stream sends it.
type frame struct {
	position uint64
	bytes    []byte // read only
}

// frames keeps the last events written out: a thousand streams of the same events write each of them once. They are
// written one behind the other, so that a stream sends many of them at once from where they are, and copies none.
type frames struct {
	kept [framesMax]atomic.Pointer[frame] // at the position modulo framesMax; whoever comes later takes the place

	writing sync.Mutex // guards page, and puts into kept
	page    []byte     // what is written in it stays as it is
}

// run returns the frames of the first n events of batch, at least one: as many as lie one behind the other, up to runMax
// bytes. They are read only.
func (f *frames) run(batch []projector.Notice) (run []byte, n int) {
	for i := range batch {
		next := f.of(&batch[i])
		switch {
		case i == 0:
			run = next
		case len(run)+len(next) <= runMax && adjoin(run, next):
			run = run[:len(run)+len(next)]
		default:
			return run, i
		}
	}
	return run, len(batch)
}

// adjoin reports whether b lies behind a in memory that they share.
func adjoin(a, b []byte) bool {
	return len(a) < cap(a) && len(b) > 0 && &a[:len(a)+1][len(a)] == &b[0]
}

// of returns the frame of an event, ending in its empty line. It is read only.
func (f *frames) of(n *projector.Notice) []byte {
	if made := f.find(n.Position); made != nil {
		return made
	}
	if n.Outcome == nil { // what the fold has forgotten is not what the next reader should be told
		return written(n)
	}
	f.writing.Lock()
	defer f.writing.Unlock()
	if made := f.find(n.Position); made != nil { // by another stream meanwhile
		return made
	}
	made := written(n)
	if cap(f.page)-len(f.page) < len(made) {
		f.page = make([]byte, 0, max(pageBytes, len(made)))
	}
	start := len(f.page)
	f.page = append(f.page, made...)
	made = f.page[start:]
	f.kept[n.Position%framesMax].Store(&frame{n.Position, made})
	return made
}

// find returns a frame that is kept, or nil.
func (f *frames) find(position uint64) []byte {
	if kept := f.kept[position%framesMax].Load(); kept != nil && kept.position == position {
		return kept.bytes
	}
	return nil
}

func written(n *projector.Notice) []byte {
	data, err := json.Marshal(renderEvent(n))
	if err != nil { // what was decoded from JSON can be written as JSON; should it not, its position is still sent
		data = fmt.Appendf(nil, `{"position":%d}`, n.Position)
	}
	return fmt.Appendf(nil, "id: %d\nevent: %s\ndata: %s\n\n", n.Position, n.Kind, data)
}
