package projector

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const partialSuffix = ".partial" // of what is being written

// dirStore is a Store in a directory of one machine. A file is written beside its place under another name, flushed, renamed
// into it, and the directory is flushed: after a crash at any moment it is there whole or not there.
type dirStore string

// newDirStore makes the directory when it is missing, and removes what a crash left half-written.
func newDirStore(dir string) (dirStore, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	partial, err := filepath.Glob(filepath.Join(dir, "*"+partialSuffix))
	if err != nil {
		return "", err
	}
	for _, path := range partial {
		if err := os.Remove(path); err != nil {
			return "", err
		}
	}
	return dirStore(dir), nil
}

func (d dirStore) path(name string) string { return filepath.Join(string(d), name) }

func (d dirStore) String() string { return string(d) }

func (d dirStore) List(context.Context) ([]Stored, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	var list []Stored
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // pruned just now
		case err != nil:
			return nil, err
		case !strings.HasSuffix(e.Name(), partialSuffix):
			list = append(list, Stored{e.Name(), info.Size()})
		}
	}
	return list, nil
}

func (d dirStore) Open(_ context.Context, name string) (io.ReadCloser, int64, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

func (d dirStore) Save(_ context.Context, name string, write func(io.Writer) error) error {
	path := d.path(name)
	partial := path + partialSuffix
	if err := writeFlushed(partial, write); err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	if err := os.Rename(partial, path); err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	return flushDir(string(d))
}

func (d dirStore) Remove(_ context.Context, name string) error {
	if err := os.Remove(d.path(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d dirStore) SetAside(_ context.Context, name string) (string, error) {
	aside := d.path(name) + AsideSuffix
	return aside, os.Rename(d.path(name), aside)
}

func writeFlushed(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = write(f)
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
