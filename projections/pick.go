package projections

import (
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Strategy is a way to choose one of several nodes.
type Strategy string

// The strategies. Each has a function of the same meaning; none keeps anything between two calls.
const (
	RoundRobin  Strategy = "round_robin"
	Random      Strategy = "random"
	LeastLoaded Strategy = "least_loaded"
	Rendezvous  Strategy = "rendezvous"
)

// Strategies lists them.
func Strategies() []Strategy { return []Strategy{RoundRobin, Random, LeastLoaded, Rendezvous} }

// Valid reports whether s is one of Strategies.
func (s Strategy) Valid() bool { return slices.Contains(Strategies(), s) }

// PickNext returns the first of nodes, which are by rising id, whose id is above last, and the first of all when there is
// none: handed out one after the other they take turns, also while nodes come and go. It returns nil for no nodes, as
// all picks do.
func PickNext(nodes []*Node, last string) *Node {
	if len(nodes) == 0 {
		return nil
	}
	i, found := slices.BinarySearchFunc(nodes, last, func(n *Node, id string) int { return strings.Compare(n.ID, id) })
	if found {
		i++
	}
	return nodes[i%len(nodes)]
}

// PickRandom returns one of nodes, each as likely as the others. intn returns a number from 0 to below its argument.
func PickRandom(nodes []*Node, intn func(int) int) *Node {
	if len(nodes) == 0 {
		return nil
	}
	return nodes[intn(len(nodes))]
}

// PickLeastLoaded returns one of the nodes with the lowest number in the tag named load, a decimal number; among equals
// each is as likely. A node whose tag is missing or no number is taken only where no node has one: it may carry anything.
func PickLeastLoaded(nodes []*Node, load string, intn func(int) int) *Node {
	lowest := math.Inf(1)
	var best []*Node
	for _, n := range nodes {
		l, err := strconv.ParseFloat(n.Tags[load], 64)
		if err != nil || math.IsNaN(l) {
			l = math.Inf(1)
		}
		if l < lowest {
			lowest, best = l, best[:0:0]
		}
		if l == lowest {
			best = append(best, n)
		}
	}
	return PickRandom(best, intn)
}

// PickRendezvous returns the node with the highest weight for key, where the weight is a hash of key and id alone: everybody
// who sees the same nodes picks the same one, whatever their order. When a node goes, only its keys move; when one comes, keys
// move only to it. On average each of n nodes has 1/n of the keys. (Thaler and Ravishankar, "Using name-based mappings to
// increase hit rates", 1998, section 3.)
func PickRendezvous(nodes []*Node, key string) (best *Node) {
	var highest uint64
	for _, n := range nodes {
		w := weight(key, n.ID)
		if best == nil || w > highest || w == highest && n.ID < best.ID {
			best, highest = n, w
		}
	}
	return best
}

// weight is FNV-1a of id, a zero byte and key, mixed once more because FNV alone spreads its last bytes badly. It is part of
// what clients rely on: another function would move every key.
func weight(key, id string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // a hash takes everything
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(key))
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
