package swim

import (
	"fmt"
	"testing"
	"time"
)

// Members that come and go faster than the round robin gets on do not make its list grow (I15), and each stands in it once.
func TestI15RoundRobinListDoesNotGrow(t *testing.T) {
	n := newNode(t, Config{Strategy: RoundRobin, ProtocolPeriod: time.Second})
	n.Step(testEpoch, Tick())
	const members = 10
	for turn := range 500 {
		incarnation := uint64(turn + 1)
		for i := range members {
			state := Alive
			if (turn+i)%3 == 0 {
				state = Left
			}
			c := &LogClaim{ID: ID(fmt.Sprintf("m%d", i)), Addr: testAddr(i + 2), Incarnation: incarnation, State: state}
			n.Step(testEpoch.Add(time.Duration(turn)*300*time.Millisecond), FromLog(c))
		}
		places := map[int32]int{}
		for _, ref := range n.order[n.orderAt:] {
			if places[ref]++; places[ref] > 1 {
				t.Fatalf("turn %d: member %d stands %d times in what is left of the list", turn, ref, places[ref])
			}
		}
	}
	if len(n.order) > 2*members {
		t.Errorf("a list of %d for %d members", len(n.order), members)
	}
}
