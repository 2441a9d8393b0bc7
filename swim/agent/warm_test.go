package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"rollcall/swim"
)

// warmedEnd is an end that can connect ahead.
type warmedEnd struct {
	*end
	warmed chan swim.Peer
}

func (e *warmedEnd) Warm(to swim.Peer) {
	select {
	case e.warmed <- to:
	default:
	}
}

// TestWarmsRelays: among so many that not everybody knows everybody, somebody's silence lets those who miss it connect to
// strangers, and before that nobody does.
func TestWarmsRelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t)
		warmed := make(chan swim.Peer, 64)
		agents := w.form(40, func(cfg *Config) {
			cfg.Transport = &warmedEnd{end: cfg.Transport.(*end), warmed: warmed}
		})
		time.Sleep(10 * time.Second)
		if n := len(warmed); n != 0 {
			t.Errorf("%d warmed while everybody answers", n)
		}
		w.setCut(address(1), true)
		select {
		case to := <-warmed:
			if to.ID == "" || !to.Addr.IsValid() {
				t.Errorf("warmed %+v", to)
			}
		case <-time.After(10 * time.Second):
			t.Error("nobody was warmed")
		}
		closeAll(t, agents...)
	})
}
