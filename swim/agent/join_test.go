package agent

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestJoinSeeds(t *testing.T) {
	closedPort, leadsBack := netip.AddrPortFrom(address(50).Addr(), 1), netip.AddrPortFrom(address(51).Addr(), 2)
	for _, c := range []struct {
		name  string
		seeds []netip.AddrPort
		want  int
		err   error
		took  time.Duration
	}{
		{"no seeds", nil, 0, nil, 0},
		{"itself alone", []netip.AddrPort{address(1)}, 0, nil, 0},
		{"itself by another address", []netip.AddrPort{leadsBack}, 0, nil, 0},
		{"one", []netip.AddrPort{address(2)}, 1, nil, 2 * time.Millisecond},
		{"all, and itself", []netip.AddrPort{address(1), address(2), address(3)}, 2, nil, 2 * time.Millisecond},
		{"one of two", []netip.AddrPort{closedPort, address(3)}, 1, nil, 2 * time.Millisecond},
		{"one, and itself by another address", []netip.AddrPort{leadsBack, address(2)}, 1, nil, 2 * time.Millisecond},
		{"a closed port, and itself by another address", []netip.AddrPort{leadsBack, closedPort}, 0, ErrNoSeed, 0},
		{"a closed port", []netip.AddrPort{closedPort}, 0, ErrNoSeed, 0},
		{"nobody there", []netip.AddrPort{closedPort, address(60)}, 0, ErrNoSeed, exchangeLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newNetwork(t)
				n2, _ := w.start(2)
				n3, _ := w.start(3)
				a, _ := w.start(1)
				began := time.Now()
				got, err := a.Join(t.Context(), c.seeds)
				if got != c.want || !errors.Is(err, c.err) {
					t.Errorf("joined %d: %v", got, err)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				if alive := a.Registry().Count(); alive != 1+c.want {
					t.Errorf("when Join returned it knew %d", alive)
				}
				if c.err != nil && !strings.Contains(err.Error(), closedPort.String()) {
					t.Errorf("%q does not name the seed", err)
				}
				closeAll(t, a, n2, n3)
			})
		})
	}
}

func TestJoinEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newNetwork(t).start(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := a.Join(ctx, []netip.AddrPort{address(9)}); !errors.Is(err, ErrNoSeed) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("joined: %v", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %v", took)
		}
		closeAll(t, a)
	})
}
