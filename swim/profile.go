package swim

import (
	"fmt"
	"time"
)

// Profile is how quickly a member that stands still is held failed. The question it answers is how long a healthy process
// of the user's may pause: for a garbage collection, a snapshot of its virtual machine, an overloaded host.
type Profile string

// The profiles.
const (
	ProfileFast    Profile = "fast"    // a pause of 1.5 s may be a failure
	ProfileDefault Profile = "default" // a pause of 2 s may be
	ProfilePatient Profile = "patient" // a pause of 6 s may be
)

// Apply sets the suspicion times of a profile in c, where c leaves them at their default; empty is ProfileDefault.
func (p Profile) Apply(c *Config) error {
	var shortest, longest time.Duration
	switch p {
	case "", ProfileDefault:
	case ProfileFast:
		shortest = 500 * time.Millisecond
	case ProfilePatient:
		shortest, longest = 5*time.Second, 30*time.Second
	default:
		return fmt.Errorf("profile %q is none of fast, default and patient", string(p))
	}
	if c.SuspicionMin == 0 {
		c.SuspicionMin = shortest
	}
	if c.SuspicionMax == 0 {
		c.SuspicionMax = longest
	}
	return nil
}
