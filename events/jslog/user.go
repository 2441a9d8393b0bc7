package jslog

import (
	"fmt"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// user is who connects, and how the server proves that it is one.
func (cfg Config) user() ([]nats.Option, error) {
	var opts []nats.Option
	inbox := cfg.Inbox
	if file := cfg.NKeyFile + cfg.CredsFile; file != "" { // one of them
		public, err := publicKey(file)
		if err != nil {
			return nil, err
		}
		if inbox == "" {
			inbox = Inbox(public)
		}
	}
	if server, ok := cfg.InProcess.(guarded); ok {
		if public, sign := server.InProcessUser(); public != "" {
			opts = append(opts, nats.Nkey(public, sign))
		}
	}
	if cfg.CredsFile != "" {
		opts = append(opts, nats.UserCredentials(cfg.CredsFile))
	}
	if cfg.NKeyFile != "" {
		key, err := nats.NkeyOptionFromSeed(cfg.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("nkey in %s: %w", cfg.NKeyFile, err)
		}
		opts = append(opts, key)
	}
	if cfg.CAFile != "" {
		opts = append(opts, nats.RootCAs(cfg.CAFile))
	}
	if cfg.TLS != nil {
		opts = append(opts, nats.Secure(cfg.TLS))
	}
	if inbox != "" {
		opts = append(opts, nats.CustomInboxPrefix(inbox))
	}
	return opts, nil
}

// publicKey is that of the user whose seed is in file, alone or beside a JWT.
func publicKey(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("key of the NATS user: %w", err)
	}
	defer clear(text)
	pair, err := nkeys.ParseDecoratedUserNKey(text)
	if err != nil {
		return "", fmt.Errorf("key of the NATS user: %s: %w", file, err)
	}
	defer pair.Wipe()
	public, err := pair.PublicKey()
	if err != nil {
		return "", fmt.Errorf("key of the NATS user: %s: %w", file, err)
	}
	return public, nil
}
