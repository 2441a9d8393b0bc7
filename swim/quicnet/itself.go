package quicnet

import (
	"crypto/rand"
	"sync"
)

// dialNames tell a transport when a dial has led back to it: by an address that stands for all members, a published port,
// another address of this host. The certificate alone does not, for a second process under this id shows the same one. So each
// dial carries a name of its own as the server name of its ClientHello, random and of no meaning to anybody else, and a
// transport that is asked under a name that it is dialling with has reached itself.
//
// The name can be read on the way. Whoever asks under it as well gets in no sooner: all that it can do is to keep a dial that
// meets this member's id from being taken for a conflict, and so a second process from being refused at its start.
type dialNames struct {
	mu   sync.Mutex
	back map[string]bool // by the name of each dial in flight: whether it has come back
}

// begin names a dial.
func (n *dialNames) begin() string {
	name := rand.Text()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.back == nil {
		n.back = make(map[string]bool)
	}
	n.back[name] = false
	return name
}

// end forgets the name of a dial that is over.
func (n *dialNames) end(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.back, name)
}

// hear takes the name that somebody asks under.
func (n *dialNames) hear(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ours := n.back[name]; ours {
		n.back[name] = true
	}
}

// cameBack reports whether a dial has reached the transport that it began at.
func (n *dialNames) cameBack(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.back[name]
}
