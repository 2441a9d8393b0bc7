// Devcheck reads what `member dev --json` printed and fails unless every line is a CloudEvent, and each of the nodes
// joined once and left once.
//
//	go run ./cmd/member dev --for 8s --json | go run .ci/devcheck.go -nodes 5
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
)

const (
	lineMax = 1 << 20 // bytes of one event, far above what one can have

	joined = "rollcall.node.joined.v1"
	left   = "rollcall.node.left.v1"
)

func main() {
	nodes := flag.Int("nodes", 5, "how many nodes there were")
	flag.Parse()
	if err := check(os.Stdin, *nodes); err != nil {
		fmt.Fprintln(os.Stderr, "devcheck:", err)
		os.Exit(1)
	}
}

func check(r io.Reader, nodes int) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, lineMax)
	said := make(map[string]map[string]int) // type to node to how often
	total := 0
	for lines.Scan() {
		total++
		var event struct{ SpecVersion, ID, Source, Type, Subject string }
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return fmt.Errorf("line %d is not JSON: %w: %s", total, err, lines.Bytes())
		}
		if event.SpecVersion != "1.0" || event.ID == "" || event.Source == "" || event.Type == "" {
			return fmt.Errorf("line %d is not a CloudEvent: %s", total, lines.Bytes())
		}
		if said[event.Type] == nil {
			said[event.Type] = make(map[string]int)
		}
		said[event.Type][event.Subject]++
	}
	if err := lines.Err(); err != nil {
		return err
	}
	for _, kind := range []string{joined, left} {
		if got := said[kind]; len(got) != nodes {
			return fmt.Errorf("%d nodes have an event of type %s, want %d: %v", len(got), kind, nodes, got)
		}
		for _, times := range said[kind] {
			if times != 1 {
				return fmt.Errorf("a node has more than one event of type %s: %v", kind, said[kind])
			}
		}
	}
	fmt.Printf("ok: %d events, %d nodes joined, %d left\n", total, len(said[joined]), len(said[left]))
	return nil
}
