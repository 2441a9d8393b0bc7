package projector

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"rollcall/events"
	"rollcall/projections"
)

// A snapshot file is
//
//	8 bytes    "ROLLVIEW"
//	4 bytes    format version, big endian, now 1
//	4 bytes    length of the header, big endian, at most headerMax
//	header     JSON, see header
//	state      what projections.Views.Encode made, to the length that the header says
//	32 bytes   SHA-256 of everything before
//
// It is written beside its place under another name, flushed, renamed into it, and the directory is flushed: after a
// crash at any moment the file is there whole or not there. The one before is kept until a later one stands.
const (
	snapshotMagic  = "ROLLVIEW"
	snapshotFormat = 1

	snapshotSuffix = ".snapshot"
	partialSuffix  = ".partial"
	badSuffix      = ".bad"

	snapshotsKept = 2
	headerMax     = 4096
	snapshotMax   = 1 << 30 // bytes of a file that is read at all
	fixedLength   = len(snapshotMagic) + 4 + 4
)

var errSnapshot = errors.New("not a snapshot that can be used")

// header says what a snapshot is of.
type header struct {
	Cluster  string    `json:"cluster"`
	Identity string    `json:"identity"` // of the log, events.Info
	Position uint64    `json:"position"`
	Taken    time.Time `json:"taken"`
	Length   int       `json:"length"`       // of the state, bytes
	Sum      string    `json:"state_sha256"` // of the state, hexadecimal: equal at equal positions on every machine (I9)
}

// Snapshot describes a snapshot.
type Snapshot struct {
	Position uint64
	Taken    time.Time
	Bytes    int    // of the state in it
	SHA256   string // of the state in it, hexadecimal: equal at equal positions on every machine (I9)
}

func (h header) describe() Snapshot {
	return Snapshot{Position: h.Position, Taken: h.Taken, Bytes: h.Length, SHA256: h.Sum}
}

// dueForLast reports whether a snapshot at the end of Run would hold anything new.
func (p *Projector) dueForLast() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.cfg.Dir != "" && p.identity != "" && (p.views.Position() > p.snapshot.Position || p.edited != p.saved)
}

// takeSnapshot writes the views down. It is called by the fold alone; readers go on meanwhile. Failure costs time at the
// next start and nothing else, so it is logged.
func (p *Projector) takeSnapshot() {
	p.mu.RLock()
	identity, edited, views := p.identity, p.edited, p.views.Clone()
	p.mu.RUnlock()
	state := views.Encode()
	sum := sha256.Sum256(state)
	head := header{
		Cluster: p.cfg.Cluster, Identity: identity, Position: views.Position(), Taken: p.cfg.Now().UTC(),
		Length: len(state), Sum: hex.EncodeToString(sum[:]),
	}
	path := filepath.Join(p.cfg.Dir, fmt.Sprintf("%020d%s", head.Position, snapshotSuffix))
	if err := writeSnapshot(path, head, state); err != nil {
		p.log.Error("no snapshot; the next start reads more of the log", "position", head.Position, "error", err)
		return
	}
	p.mu.Lock()
	p.snapshot, p.saved = head.describe(), edited
	p.mu.Unlock()
	p.log.Debug("snapshot written", "file", path, "bytes", len(state))
	if err := pruneSnapshots(p.cfg.Dir); err != nil {
		p.log.Warn("old snapshots stay", "error", err)
	}
}

// encodeSnapshot returns the bytes of a file.
func encodeSnapshot(head header, state []byte) ([]byte, error) {
	meta, err := json.Marshal(head)
	if err != nil {
		return nil, fmt.Errorf("encode the header: %w", err)
	}
	out := make([]byte, 0, fixedLength+len(meta)+len(state)+sha256.Size)
	out = append(out, snapshotMagic...)
	out = binary.BigEndian.AppendUint32(out, snapshotFormat)
	out = binary.BigEndian.AppendUint32(out, uint32(len(meta)))
	out = append(out, meta...)
	out = append(out, state...)
	sum := sha256.Sum256(out)
	return append(out, sum[:]...), nil
}

// decodeSnapshot reads what encodeSnapshot made.
func decodeSnapshot(raw []byte) (head header, state []byte, err error) {
	if len(raw) < fixedLength+sha256.Size || string(raw[:len(snapshotMagic)]) != snapshotMagic {
		return head, nil, fmt.Errorf("%w: it does not begin as one", errSnapshot)
	}
	if v := binary.BigEndian.Uint32(raw[len(snapshotMagic):]); v != snapshotFormat {
		return head, nil, fmt.Errorf("%w: format version %d, version %d is read", errSnapshot, v, snapshotFormat)
	}
	body, sum := raw[:len(raw)-sha256.Size], raw[len(raw)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return head, nil, fmt.Errorf("%w: it is damaged: the checksum differs", errSnapshot)
	}
	n := binary.BigEndian.Uint32(raw[fixedLength-4:])
	rest := body[fixedLength:]
	if n > headerMax || int(n) > len(rest) {
		return head, nil, fmt.Errorf("%w: header of %d bytes", errSnapshot, n)
	}
	if err := json.Unmarshal(rest[:n], &head); err != nil {
		return head, nil, fmt.Errorf("%w: header: %w", errSnapshot, err)
	}
	if state = rest[n:]; len(state) != head.Length {
		return head, nil, fmt.Errorf("%w: state of %d bytes, the header says %d", errSnapshot, len(state), head.Length)
	}
	return head, state, nil
}

// readSnapshot reads a file of a cluster.
func readSnapshot(path, cluster string) (header, *projections.Views, error) {
	info, err := os.Stat(path)
	if err != nil {
		return header{}, nil, err
	}
	if info.Size() > snapshotMax {
		return header{}, nil, fmt.Errorf("%w: %d bytes, at most %d are read", errSnapshot, info.Size(), snapshotMax)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return header{}, nil, err
	}
	head, state, err := decodeSnapshot(raw)
	if err != nil {
		return head, nil, err
	}
	if head.Cluster != cluster {
		return head, nil, fmt.Errorf("%w: it is of cluster %q, not of %q", errSnapshot, head.Cluster, cluster)
	}
	views, err := projections.Decode(cluster, state)
	if err != nil {
		return head, nil, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	if views.Position() != head.Position {
		return head, nil, fmt.Errorf("%w: state at position %d, the header says %d", errSnapshot, views.Position(), head.Position)
	}
	return head, views, nil
}

// writeSnapshot puts a file in place, whole or not at all.
func writeSnapshot(path string, head header, state []byte) error {
	raw, err := encodeSnapshot(head, state)
	if err != nil {
		return err
	}
	partial := path + partialSuffix
	if err := writeFlushed(partial, raw); err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	if err := os.Rename(partial, path); err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	return flushDir(filepath.Dir(path))
}

func writeFlushed(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func flushDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// listSnapshots returns the files that are in place, newest first. Positions have a fixed width, so names sort as they do.
func listSnapshots(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), snapshotSuffix) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(paths)
	slices.Reverse(paths)
	return paths, nil
}

// pruneSnapshots removes all but the newest snapshots, and what a crash left half-written.
func pruneSnapshots(dir string) error {
	paths, err := listSnapshots(dir)
	if err != nil {
		return err
	}
	old := paths[min(snapshotsKept, len(paths)):]
	partial, err := filepath.Glob(filepath.Join(dir, "*"+snapshotSuffix+partialSuffix))
	if err != nil {
		return err
	}
	for _, path := range append(old, partial...) {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// snapshotBefore returns views from the newest snapshot of the log that position and time t do not precede, or fresh ones.
func (p *Projector) snapshotBefore(identity string, at At) *projections.Views {
	if p.cfg.Dir != "" {
		paths, _ := listSnapshots(p.cfg.Dir) // an unreadable directory only costs time
		for _, path := range paths {
			head, views, err := readSnapshot(path, p.cfg.Cluster)
			if err != nil || head.Identity != identity {
				continue
			}
			if !at.before(events.Recorded{Position: head.Position, Stored: views.Stored()}) {
				return views
			}
		}
	}
	return projections.New(p.cfg.Cluster)
}
