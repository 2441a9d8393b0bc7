package httpserver

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// lookEvery is how long what was read from files is used without looking whether they changed.
const lookEvery = time.Second

// followed is what was read from files, and is read again when they change. Nobody has to watch: whoever uses it looks.
type followed[T any] struct {
	files []string
	read  func() (T, error)
	log   *slog.Logger

	mu      sync.Mutex
	value   T
	version string // of the files that were read last
	looked  time.Time
}

func follow[T any](log *slog.Logger, read func() (T, error), files ...string) (*followed[T], error) {
	f := &followed[T]{files: files, read: read, log: log, looked: time.Now()}
	f.version = f.versionNow()
	var err error
	f.value, err = read()
	return f, err
}

// get returns what the files hold; while they cannot be read, what they held.
func (f *followed[T]) get() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < lookEvery {
		return f.value
	}
	f.looked = time.Now()
	version := f.versionNow()
	if version == f.version {
		return f.value
	}
	f.version = version
	if value, err := f.read(); err != nil {
		f.log.Error("files of --http not read again, what they held stays in use", "error", err)
	} else {
		f.value = value
		f.log.Info("files of --http read again", "files", strings.Join(f.files, " "))
	}
	return f.value
}

// versionNow changes when a file is written or replaced.
func (f *followed[T]) versionNow() string {
	var out strings.Builder
	for _, name := range f.files {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintf(&out, "%d %d;", info.ModTime().UnixNano(), info.Size())
		} else {
			out.WriteString("none;")
		}
	}
	return out.String()
}

func followPair(certFile, keyFile string, log *slog.Logger) (*followed[*tls.Certificate], error) {
	return follow(log, func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, fmt.Errorf("--http-cert %s and --http-key %s: %w", certFile, keyFile, err)
		}
		return &pair, nil
	}, certFile, keyFile)
}

// Bounds of a file of tokens.
const (
	TokenMin  = 16 // bytes of a token; what can be guessed is none
	tokenMax  = 4096
	tokensMax = 16
)

// ErrToken says that a file does not hold tokens.
var ErrToken = errors.New("not a file of tokens")

// hash is what is kept and compared of a token: of one length, whatever the token's.
type hash [sha256.Size]byte

func followTokens(file string, log *slog.Logger) (*followed[[]hash], error) {
	return follow(log, func() ([]hash, error) {
		list, err := ReadTokens(file)
		if err != nil {
			return nil, fmt.Errorf("--http-token-file: %w", err)
		}
		hashes := make([]hash, len(list))
		for i, token := range list {
			hashes[i] = sha256.Sum256([]byte(token))
		}
		return hashes, nil
	}, file)
}

// ReadTokens returns the tokens in a file, one a line, of at least TokenMin visible ASCII characters each; empty lines and
// lines that start with # are none. It fails with ErrToken, or as reading a file does.
func ReadTokens(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list []string
	number := 0
	for line := range bytes.Lines(text) {
		number++
		token := strings.TrimSpace(string(line))
		if token == "" || token[0] == '#' {
			continue
		}
		switch {
		case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
			return nil, fmt.Errorf("%s: %w: line %d has characters other than visible ASCII", file, ErrToken, number)
		case len(token) < TokenMin || len(token) > tokenMax:
			return nil, fmt.Errorf("%s: %w: the token in line %d has %d characters, want %d to %d; make one with: openssl rand -hex 32",
				file, ErrToken, number, len(token), TokenMin, tokenMax)
		}
		if list = append(list, token); len(list) > tokensMax {
			return nil, fmt.Errorf("%s: %w: more than %d tokens", file, ErrToken, tokensMax)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: %w: it is empty; make one with: openssl rand -hex 32", file, ErrToken)
	}
	return list, nil
}
