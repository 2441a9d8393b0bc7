package events

import "encoding/json"

// The data of an event has a version, the last part of its type. Events are written in one version and read in every one
// there ever was: each has a reader that makes the version written now of it, so that nobody but this file knows an older one.
// A version is never taken out, and testdata/golden keeps what each looks like.
//
// A field that readers may pass over is no new version. One that changes what an event means is: it gets a constant here, a
// reader for the version before, a folder of its own in the corpus, and readers older than it stop there with
// ErrUnknownKind.
type version string

const (
	v1      version = "v1"
	current         = v1
)

// reader makes a payload of the data of one version.
type reader func(data []byte) (payload, error)

// readers holds every version ever written.
var readers = map[version]reader{v1: readV1}

func readV1(data []byte) (payload, error) {
	var p payload
	err := json.Unmarshal(data, &p)
	return p, err
}
