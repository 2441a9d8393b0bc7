package rollcall_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"os"
	"time"

	"rollcall"
	"rollcall/events/memlog"
	"rollcall/infra/certs"
)

// Two members in one process. In production each is a process of its own, its identity comes from files ([certs.Load]), and
// the log is JetStream's (package jslog).
func ExampleJoin() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "rollcall-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ca, err := certs.NewCA("default", time.Now(), time.Hour)
	if err != nil {
		log.Fatal(err)
	}
	roll := memlog.New("default")

	start := func(id string, seeds ...string) *rollcall.Member {
		identity, err := ca.Identity(id, time.Now(), 30*time.Minute)
		if err != nil {
			log.Fatal(err)
		}
		m, err := rollcall.Join(ctx, rollcall.Options{
			Cluster: "default", ID: id, Bind: netip.MustParseAddrPort("127.0.0.1:0"), Seeds: seeds,
			Credentials: identity, Log: roll, Dir: dir + "/" + id, Tags: map[string]string{"role": "worker"},
		})
		if err != nil {
			log.Fatal(err)
		}
		return m
	}
	n1 := start("n1")
	defer n1.Close()
	n2 := start("n2", n1.Addr().String())
	defer n2.Close()

	<-n2.Joined()
	for _, peer := range n2.Registry().Alive() {
		fmt.Println(peer.ID, peer.State, peer.Incarnation)
	}
	if err := n2.Leave(ctx); err != nil {
		log.Fatal(err)
	}
	last, err := roll.Last(ctx, "n2")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(last.Kind, last.Node)
	// Output:
	// n1 alive 1
	// n2 alive 1
	// left n2
}
