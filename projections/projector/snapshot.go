package projector

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"rollcall/projections"
)

// The form of a snapshot and of a checkpoint: docs/formats/snapshot.md.
const (
	snapshotMagic  = "ROLLVIEW"
	snapshotFormat = 2

	headerMax     = 4096
	snapshotMax   = 4 << 30 // bytes of one that is read at all
	fixedLength   = len(snapshotMagic) + 4 + 4
	trailerLength = sha256.Size
)

var errSnapshot = errors.New("not a snapshot that can be used")

// header says what a snapshot is of.
type header struct {
	Cluster  string    `json:"cluster"`
	Identity string    `json:"identity"` // of the log, events.Info
	Position uint64    `json:"position"`
	Taken    time.Time `json:"taken"`
	Bare     bool      `json:"bare,omitempty"` // a checkpoint
}

// Snapshot describes a snapshot.
type Snapshot struct {
	Position uint64
	Taken    time.Time
	Bytes    int64
	SHA256   string // its checksum, hexadecimal
}

// writeSnapshot writes a snapshot of views, or a checkpoint where head says so, and describes it.
func writeSnapshot(w io.Writer, head header, views *projections.Views) (Snapshot, error) {
	meta, err := json.Marshal(head)
	if err != nil {
		return Snapshot{}, fmt.Errorf("encode the header: %w", err)
	}
	sum := sha256.New()
	counted := &counter{to: io.MultiWriter(w, sum)}
	front := append(make([]byte, 0, fixedLength+len(meta)), snapshotMagic...)
	front = binary.BigEndian.AppendUint32(front, snapshotFormat)
	front = binary.BigEndian.AppendUint32(front, uint32(len(meta)))
	if _, err := counted.Write(append(front, meta...)); err != nil {
		return Snapshot{}, err
	}
	encode := views.EncodeTo
	if head.Bare {
		encode = views.EncodeBareTo
	}
	if err := encode(counted); err != nil {
		return Snapshot{}, err
	}
	checksum := sum.Sum(nil)
	if _, err := w.Write(checksum); err != nil {
		return Snapshot{}, err
	}
	return Snapshot{
		Position: head.Position, Taken: head.Taken, Bytes: counted.n + trailerLength, SHA256: hex.EncodeToString(checksum),
	}, nil
}

// counter counts what passes.
type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}

// readSnapshot reads what writeSnapshot wrote for a cluster, size bytes. What it returns is worth nothing with an error, which is
// an errSnapshot unless src failed.
func readSnapshot(src io.Reader, size int64, cluster string) (head header, views *projections.Views, desc Snapshot, err error) {
	short := func(err error) (header, *projections.Views, Snapshot, error) {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: it ends early: %w", errSnapshot, err)
		}
		return head, nil, desc, err
	}
	fail := func(format string, args ...any) (header, *projections.Views, Snapshot, error) {
		return head, nil, desc, fmt.Errorf("%w: %w", errSnapshot, fmt.Errorf(format, args...))
	}
	if size < int64(fixedLength+trailerLength) || size > snapshotMax {
		return fail("%d bytes, want %d to %d", size, fixedLength+trailerLength, int64(snapshotMax))
	}
	sum := sha256.New()
	src = &failing{src: src}
	body := io.TeeReader(io.LimitReader(src, size-trailerLength), sum)
	front := make([]byte, fixedLength)
	if _, err := io.ReadFull(body, front); err != nil {
		return short(err)
	}
	if string(front[:len(snapshotMagic)]) != snapshotMagic {
		return fail("it does not begin as one")
	}
	if v := binary.BigEndian.Uint32(front[len(snapshotMagic):]); v != snapshotFormat {
		return fail("format version %d, version %d is read", v, snapshotFormat)
	}
	n := int64(binary.BigEndian.Uint32(front[fixedLength-4:]))
	length := size - int64(fixedLength+trailerLength) - n // of the state
	if n > headerMax || length < 0 {
		return fail("header of %d bytes", n)
	}
	meta := make([]byte, n)
	if _, err := io.ReadFull(body, meta); err != nil {
		return short(err)
	}
	if err := json.Unmarshal(meta, &head); err != nil {
		return fail("header: %w", err)
	}
	if head.Cluster != cluster {
		return fail("it is of cluster %.80q, not of %q", head.Cluster, cluster)
	}
	views, err = projections.DecodeFrom(cluster, body, length)
	switch broken := src.(*failing).err; {
	case broken != nil:
		return short(broken)
	case err != nil:
		return fail("%w", err)
	}
	checksum := make([]byte, trailerLength)
	if _, err := io.ReadFull(src, checksum); err != nil {
		return short(err)
	}
	if !bytes.Equal(sum.Sum(nil), checksum) {
		return fail("it is damaged: the checksum differs")
	}
	if views.Position() != head.Position {
		return fail("state at position %d, the header says %d", views.Position(), head.Position)
	}
	return head, views, Snapshot{head.Position, head.Taken, size, hex.EncodeToString(checksum)}, nil
}

// failing remembers how its source failed, which is not how a broken snapshot does.
type failing struct {
	src io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.src.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}
