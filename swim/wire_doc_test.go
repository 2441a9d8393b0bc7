package swim

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
)

// wireExamples reads the annotated packets of the format's description: in a code block, the hexadecimal groups at the
// start of each line.
func wireExamples(t *testing.T) (packets [][]byte) {
	t.Helper()
	raw, err := os.ReadFile("../docs/formats/wire.md")
	if err != nil {
		t.Fatal(err)
	}
	groups := regexp.MustCompile(`^(?:(?:[0-9a-f]{2})+ )+`)
	for i, block := range strings.Split(string(raw), "```\n") {
		if i%2 == 0 {
			continue // prose
		}
		var packet []byte
		for line := range strings.Lines(block) {
			b, err := hex.DecodeString(strings.ReplaceAll(groups.FindString(line), " ", ""))
			if err != nil || len(b) == 0 {
				t.Fatalf("%q: %v", line, err)
			}
			packet = append(packet, b...)
		}
		packets = append(packets, packet)
	}
	return packets
}

// TestWireExamples: the packets in docs/formats/wire.md are what members write, and mean what is said beside them.
func TestWireExamples(t *testing.T) {
	packets := wireExamples(t)
	if len(packets) != 2 {
		t.Fatalf("%d examples", len(packets))
	}
	ack := message{typ: messageAck, seq: 7, incarnation: 3, digest: 0x0102030405060708, dueMS: 8000}
	tagged := row("n4", Alive, 2)
	tagged.setTags(Tags{{"role", "db"}})
	want := (*Node)(nil).appendUpdate(appendMessage(nil, &ack), tagged)
	want = (*Node)(nil).appendUpdate(want, row("n5", Suspect, 300, "n1", "n2"))
	if !bytes.Equal(packets[0], want) {
		t.Errorf("the datagram is\n%x, members write\n%x", packets[0], want)
	}
	var got message
	if err := decodeMessage(packets[0], &got); err != nil || got.dueMS != 8000 {
		t.Errorf("the datagram: %+v, %v", got, err)
	}

	n := newNode(t, Config{})
	gone := row("n2", Left, 7)
	gone.place = placeOf(netip.MustParseAddrPort("[fd00::2]:7946"))
	n.Step(testEpoch, Datagram("n2", gone.addr(), gossipOf(gone)))
	if state := n.appendState(nil); !bytes.Equal(packets[1], state) {
		t.Errorf("the state block is\n%x, members write\n%x", packets[1], state)
	}
}
