// Package loopback gives tests addresses of this machine that stay theirs while nothing listens there.
//
// A port that the system chose is anybody's again once it is closed, and other tests run beside: a server that is to come
// back where it was may find somebody else there, and so may whoever expects nobody. The ports of this package lie below
// those that systems choose from, so that only who asks for one by its number gets it. They are taken at random, and no two
// calls of a process return the same one; that two processes come upon one in the same moment is left to chance.
package loopback

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// Linux chooses from 32768 on, others from 49152 on; below portMin are the services that people run.
const portMin, portMax = 16_384, 32_768

// triesMax bounds the search for one port: far more than needed while half of them are free.
const triesMax = 1000

// given are the ports that a call returned.
var given sync.Map

// Ports are n ports of 127.0.0.1, distinct and free for TCP and for UDP.
func Ports(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		ports[i] = port(t)
	}
	return ports
}

// Addr is 127.0.0.1 with such a port.
func Addr(t testing.TB) string {
	t.Helper()
	return at(port(t))
}

func port(t testing.TB) int {
	t.Helper()
	for range triesMax {
		port := portMin + rand.IntN(portMax-portMin)
		if _, twice := given.LoadOrStore(port, true); !twice && free(at(port)) {
			return port
		}
	}
	t.Fatalf("no port of 127.0.0.1 from %d to %d is free", portMin, portMax-1)
	return 0
}

func at(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func free(address string) bool {
	stream, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	defer stream.Close()
	packets, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	packets.Close()
	return true
}
