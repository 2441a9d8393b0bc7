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
	for _, g := range cfg.grants() {
		u := user{Name: g.name, file: g.file}
		if err := u.identify(cfg.Dir); err != nil {
			return nil, user{}, err
		}
		u.May = g.may(jslog.Inbox(u.NKey))
		all = append(all, u)
	}
	system = user{Name: userSystem, file: keyFile(userSystem)}
	return all, system, system.identify(cfg.Dir)
}

// grant is what a user will be allowed, once its inbox is known.
type grant struct {
	name, file string
	may        func(inbox string) jslog.Permissions
}

func (cfg Config) grants() []grant {
	var all []grant
	for _, id := range cfg.Members {
		may := jslog.MemberPermissions
		if slices.Contains(cfg.Directors, id) {
			may = jslog.DirectorPermissions
		}
		all = append(all, grant{"member " + id, MemberKey(id), func(inbox string) jslog.Permissions {
			return may(cfg.Cluster, id, inbox)
		}})
	}
	other := func(name, file string, may func(cluster, inbox string) jslog.Permissions) {
		all = append(all, grant{name, file, func(inbox string) jslog.Permissions { return may(cfg.Cluster, inbox) }})
	}
	for _, name := range cfg.Readers {
		may := jslog.ReaderPermissions
		if slices.Contains(cfg.Projectors, name) {
			may = jslog.ProjectorPermissions
		}
		other("reader "+name, ReaderKey(name), may)
	}
	other(userProvisioner, ProvisionerKey, jslog.ProvisionerPermissions)
	other(userAdministrator, AdministratorKey, jslog.AdministratorPermissions)
	return all
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
