package swim

import (
	"net/netip"
	"testing"
	"time"
)

func TestProfiles(t *testing.T) {
	for profile, want := range map[Profile][2]time.Duration{
		"":             {0, 0},
		ProfileDefault: {0, 0},
		ProfileFast:    {500 * time.Millisecond, 0},
		ProfilePatient: {5 * time.Second, 30 * time.Second},
	} {
		c := Config{ID: "n1", Addr: netip.MustParseAddrPort("127.0.0.1:7946")}
		if err := profile.Apply(&c); err != nil || c.SuspicionMin != want[0] || c.SuspicionMax != want[1] {
			t.Errorf("%q: %v, min %v, max %v; want %v", profile, err, c.SuspicionMin, c.SuspicionMax, want)
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%q: %v", profile, err)
		}
	}
	if err := Profile("quick").Apply(&Config{}); err == nil {
		t.Error("an unknown profile is taken")
	}
	c := Config{SuspicionMin: time.Minute}
	if err := ProfilePatient.Apply(&c); err != nil || c.SuspicionMin != time.Minute {
		t.Errorf("what the user set was changed: %v, %v", c.SuspicionMin, err)
	}
}
