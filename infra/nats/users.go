package nats

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/nats-io/nkeys"

	"rollcall/events/jslog"
)

// Names of the users that are neither members nor readers, and of their seeds.
const (
	userProvisioner   = "provisioner"
	userAdministrator = "administrator"
	userSystem        = "system"
)

// MemberKey and ReaderKey are the files of a user's seed, below Config.Dir; ProvisionerKey and AdministratorKey are those of
// the two who look after the stream.
func MemberKey(member string) string { return keyFile("member-" + member) }

// ReaderKey is the file of a reader's seed.
func ReaderKey(name string) string { return keyFile("reader-" + name) }

// The seeds of those who make the stream and look after it.
var (
	ProvisionerKey   = keyFile(userProvisioner)
	AdministratorKey = keyFile(userAdministrator)
)

func keyFile(name string) string { return filepath.Join("keys", name+".nk") }

// user is one user of the servers.
type user struct {
	Name  string // for people
	NKey  string // public key
	May   jslog.Permissions
	file  string // of the seed, below Config.Dir
	fresh bool   // the seed was made now
}

// users returns everybody but the system's user, and that one.
func (cfg Config) users() (all []user, system user, err error) {
	add := func(name, file string, may jslog.Permissions) {
		all = append(all, user{Name: name, file: file, May: may})
	}
	for _, id := range cfg.Members {
		may := jslog.MemberPermissions
		if slices.Contains(cfg.Directors, id) {
			may = jslog.DirectorPermissions
		}
		add("member "+id, MemberKey(id), may(cfg.Cluster, id))
	}
	for _, name := range cfg.Readers {
		add("reader "+name, ReaderKey(name), jslog.ReaderPermissions(cfg.Cluster, name))
	}
	add(userProvisioner, ProvisionerKey, jslog.ProvisionerPermissions(cfg.Cluster, userProvisioner))
	add(userAdministrator, AdministratorKey, jslog.AdministratorPermissions(cfg.Cluster, userAdministrator))
	system = user{Name: userSystem, file: keyFile(userSystem)}
	for i := range all {
		if err := all[i].identify(cfg.Dir); err != nil {
			return nil, user{}, err
		}
	}
	return all, system, system.identify(cfg.Dir)
}

// identify reads the user's seed, or makes one if there is none.
func (u *user) identify(dir string) error {
	file := filepath.Join(dir, u.file)
	seed, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		u.fresh = true
		seed, err = newSeed(file)
	}
	if err != nil {
		return fmt.Errorf("key of %s: %w", u.Name, err)
	}
	pair, err := nkeys.ParseDecoratedNKey(seed)
	if err != nil {
		return fmt.Errorf("key of %s: %s is no seed: %w: restore it, or remove it to have another one made", u.Name, file, err)
	}
	defer pair.Wipe()
	if u.NKey, err = pair.PublicKey(); err != nil {
		return fmt.Errorf("key of %s: %w", u.Name, err)
	}
	if !nkeys.IsValidPublicUserKey(u.NKey) {
		return fmt.Errorf("key of %s: %s is the seed of something else than a user", u.Name, file)
	}
	return nil
}

func newSeed(file string) ([]byte, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	defer pair.Wipe()
	seed, err := pair.Seed()
	if err != nil {
		return nil, err
	}
	text := append(bytes.Clone(seed), '\n') // the seed itself is the pair's, and wiped
	return text, write(file, text, modeSecret)
}
