package natsd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// ErrDamaged is an error of Start: the directory holds messages of a stream that the server cannot read. The server itself says so
// in a warning and starts without the stream; whoever makes streams that are missing would then begin an empty one in its place.
var ErrDamaged = errors.New("a stream is damaged")

// whole fails with ErrDamaged unless the server has every stream that dir holds messages of. What a server left that was killed
// while it made a stream holds none, and what it is about to delete begins with a dot.
func (s *Server) whole(dir string) error {
	have, err := s.nats.Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		return fmt.Errorf("list the streams: %w", err)
	}
	served := make(map[string]bool)
	for _, account := range have.AccountDetails {
		for _, stream := range account.Streams {
			served[path.Join(account.Id, stream.Name)] = true
		}
	}
	files := os.DirFS(dir)
	blocks, err := fs.Glob(files, path.Join(server.JetStreamStoreDir, "*", "streams", "*", "msgs", "*.blk"))
	if err != nil {
		return fmt.Errorf("look for streams: %w", err)
	}
	for _, block := range blocks {
		stream := path.Dir(path.Dir(block))
		account, name := path.Base(path.Dir(path.Dir(stream))), path.Base(stream)
		if served[path.Join(account, name)] || strings.HasPrefix(name, ".") {
			continue
		}
		if info, err := fs.Stat(files, block); err == nil && info.Size() > 0 {
			return fmt.Errorf("%w: the server could not read %s, as its warnings say: put a backup in its place, or move it away to do without",
				ErrDamaged, filepath.Join(dir, filepath.FromSlash(stream)))
		}
	}
	return nil
}
