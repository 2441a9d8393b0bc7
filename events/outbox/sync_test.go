package outbox

import (
	"path/filepath"
	"testing"
)

// I1: what was accepted is on the disk and not only on its way there. A kill cannot show it, for the system's cache outlives the
// process; so that nothing turns flushing off is looked at here.
func TestNothingIsAcceptedUnflushed(t *testing.T) {
	box, err := Open(Config{Path: filepath.Join(t.TempDir(), "outbox.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	if box.db.NoSync || box.db.NoGrowSync {
		t.Errorf("NoSync %v, NoGrowSync %v", box.db.NoSync, box.db.NoGrowSync)
	}
}
