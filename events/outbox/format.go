package outbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"rollcall/events"

	"go.etcd.io/bbolt"
)

// A record is one version byte, the CRC-32C of the rest in 4 bytes big endian, then the length of the subject as a
// uvarint, the subject, and the body, both as the log will hold them. The log's codec is the one that is kept readable
// for ever; a second one here would have to be, too.
//
// What is put aside is one version byte, the length of the reason as a uvarint, the reason, and the record untouched.
const (
	recordVersion = 1
	asideVersion  = 1
	recordHead    = 1 + crc32.Size
)

var (
	castagnoli  = crc32.MakeTable(crc32.Castagnoli)
	errRecord   = errors.New("unreadable record")
	errMismatch = errors.New("subject and body disagree")
)

func key(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func encodeRecord(ev events.Event) ([]byte, error) {
	body, err := events.Encode(ev)
	if err != nil {
		return nil, err
	}
	subject := events.Subject(ev)
	record := make([]byte, recordHead, recordHead+binary.MaxVarintLen16+len(subject)+len(body))
	record[0] = recordVersion
	record = binary.AppendUvarint(record, uint64(len(subject)))
	record = append(record, subject...)
	record = append(record, body...)
	binary.BigEndian.PutUint32(record[1:], crc32.Checksum(record[recordHead:], castagnoli))
	return record, nil
}

func decodeRecord(record []byte) (events.Event, error) {
	switch {
	case len(record) < recordHead:
		return events.Event{}, fmt.Errorf("%w: %d bytes", errRecord, len(record))
	case record[0] != recordVersion:
		return events.Event{}, fmt.Errorf("%w: version %d, want %d", errRecord, record[0], recordVersion)
	case crc32.Checksum(record[recordHead:], castagnoli) != binary.BigEndian.Uint32(record[1:]):
		return events.Event{}, fmt.Errorf("%w: checksum differs", errRecord)
	}
	subject, body, ok := cutPrefixed(record[recordHead:])
	if !ok {
		return events.Event{}, fmt.Errorf("%w: subject cut short", errRecord)
	}
	rec, err := events.Decode(string(subject), body)
	switch {
	case err != nil:
		return events.Event{}, err
	case rec.Mismatch != "":
		return events.Event{}, fmt.Errorf("%w: %s", errMismatch, rec.Mismatch)
	}
	return rec.Event, nil
}

func encodeAside(reason string, record []byte) []byte {
	b := []byte{asideVersion}
	b = binary.AppendUvarint(b, uint64(len(reason)))
	b = append(b, reason...)
	return append(b, record...)
}

func decodeAside(b []byte) (reason string, record []byte, err error) {
	if len(b) == 0 || b[0] != asideVersion {
		return "", nil, fmt.Errorf("%w: put aside by another version", errRecord)
	}
	r, record, ok := cutPrefixed(b[1:])
	if !ok {
		return "", nil, fmt.Errorf("%w: reason cut short", errRecord)
	}
	return string(r), record, nil
}

// cutPrefixed splits b after a first part that its length stands before.
func cutPrefixed(b []byte) (first, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	b = b[size:]
	return b[:n], b[n:], true
}

// restoreAside returns everything that was put aside to its place in the queue. What cannot be unwrapped stays.
func restoreAside(tx *bbolt.Tx) error {
	pending, aside := tx.Bucket(bucketPending), tx.Bucket(bucketAside)
	var restored [][]byte
	err := aside.ForEach(func(k, v []byte) error {
		_, record, err := decodeAside(v)
		if err != nil {
			return nil
		}
		restored = append(restored, append([]byte(nil), k...))
		return pending.Put(k, append([]byte(nil), record...))
	})
	if err != nil {
		return err
	}
	for _, k := range restored {
		if err := aside.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
