package devcluster

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"rollcall/infra/certs"
	"rollcall/infra/loopback"
	"rollcall/swim"
	"rollcall/swim/agent"
)

// downs is a peer that answers everything and notes whose connection ended, and how.
type downs chan swim.Down

func (downs) HandleDatagram(swim.ID, netip.AddrPort, []byte) {}

func (downs) HandleExchange(context.Context, swim.ID, netip.AddrPort, []byte) ([]byte, error) {
	return []byte("yes"), nil
}

func (d downs) HandleDown(_ swim.ID, _ netip.AddrPort, how swim.Down) { d <- how }

// The lives of a node share the key that lets a peer tell a restart from a silence.
func TestRestartIsNoticedWithTheNextPacket(t *testing.T) {
	ca, err := certs.NewCA("test", time.Now(), 2*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	t.Cleanup(cancel)
	c := &Cluster{cfg: Config{Cluster: "test"}, log: slog.New(slog.DiscardHandler), network: newNetwork()}
	noted := make(downs, 16)
	listen := func(n *node, bind netip.AddrPort) agent.Transport {
		t.Helper()
		identity, err := ca.Identity(n.id, time.Now(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		transport, err := n.listen(swim.ID(n.id), bind, identity)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { transport.Close(ctx) })
		transport.Serve(noted)
		return transport
	}
	n1, n2 := newNode(c, "n1"), newNode(c, "n2")
	n2.bind = netip.MustParseAddrPort(loopback.Addr(t))
	if n1.resetKey == n2.resetKey {
		t.Error("two nodes have one key")
	}
	watching, first := listen(n1, n1.bind), listen(n2, n2.bind)
	at := swim.Peer{ID: "n2", Addr: first.LocalAddr()}
	if _, _, err := watching.Exchange(ctx, at, []byte("there?")); err != nil {
		t.Fatal(err)
	}
	n2.quic.Kill()
	listen(n2, at.Addr)
	watching.Send(at, []byte("a ping that is long enough to be answered"))
	for {
		select {
		case how := <-noted:
			if how == swim.DownUnreachable {
				continue // something of QUIC's own met the port while it was closed
			}
			if how != swim.DownReset {
				t.Errorf("noted %v, want %v", how, swim.DownReset)
			}
		case <-ctx.Done():
			t.Error("the restart was not noticed")
		}
		return
	}
}
