package rollcall

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// stateDir is what a member keeps beside its outbox: the highest incarnation it ever claimed, and the key by which peers
// of an earlier life notice a restart. The outbox's lock keeps a second process out.
type stateDir struct {
	dir      string
	resetKey [32]byte

	mu          sync.Mutex
	incarnation uint64 // 0: never lived
}

const (
	incarnationFile = "incarnation"
	resetKeyFile    = "reset.key"
)

func openState(dir string) (*stateDir, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	s := &stateDir{dir: dir}
	text, err := os.ReadFile(filepath.Join(dir, incarnationFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("state directory: %w", err)
	default:
		if s.incarnation, err = strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64); err != nil {
			return nil, fmt.Errorf("%s: %q is not an incarnation: remove the file, the log and the peers remember it too",
				filepath.Join(dir, incarnationFile), text)
		}
	}
	key, err := os.ReadFile(filepath.Join(dir, resetKeyFile))
	if err == nil && len(key) == len(s.resetKey) {
		copy(s.resetKey[:], key)
		return s, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	// Without the key, or with a broken one, a restart is only noticed a little later.
	rand.Read(s.resetKey[:])
	return s, s.write(resetKeyFile, s.resetKey[:])
}

// keepIncarnation remembers incarnation if it is the highest yet. It is on disk when this returns.
func (s *stateDir) keepIncarnation(incarnation uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if incarnation <= s.incarnation {
		return nil
	}
	if err := s.write(incarnationFile, strconv.AppendUint(nil, incarnation, 10)); err != nil {
		return err
	}
	s.incarnation = incarnation
	return nil
}

// write replaces a file as a whole: after a crash there is the old one or the new one.
func (s *stateDir) write(name string, data []byte) error {
	f, err := os.CreateTemp(s.dir, name+".*")
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(s.dir, name))
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	if err != nil {
		return fmt.Errorf("state directory: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
