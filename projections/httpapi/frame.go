package httpapi

import (
	"encoding/json"
	"fmt"
	"sync/atomic"

	"rollcall/projections/projector"
)

// framesMax is how many of the last frames are kept for all streams together.
const framesMax = 1024

// frame is one event as the stream sends it.
type frame struct {
	position uint64
	bytes    []byte // read only
}

// frames keeps the last events written out: a thousand streams of the same events write each of them once. A place is
// taken over by whoever comes later, so it is never waited for; at worst an event is written out twice.
type frames [framesMax]atomic.Pointer[frame]

// of returns the frame of an event, ending in its empty line. It is read only.
func (f *frames) of(n *projector.Notice) []byte {
	place := &f[n.Position%framesMax]
	if kept := place.Load(); kept != nil && kept.position == n.Position {
		return kept.bytes
	}
	data, err := json.Marshal(renderEvent(n))
	if err != nil { // what was decoded from JSON can be written as JSON; should it not, its position is still sent
		data = fmt.Appendf(nil, `{"position":%d}`, n.Position)
	}
	made := &frame{n.Position, fmt.Appendf(nil, "id: %d\nevent: %s\ndata: %s\n\n", n.Position, n.Kind, data)}
	if n.Outcome != nil { // what the fold has forgotten is not what the next reader should be told
		place.Store(made)
	}
	return made.bytes
}
