package main

import (
	"context"
	"fmt"
	"time"
)

// cluster is N members of one system in this process, told apart by their index.
type cluster interface {
	// start begins a life of member i, at the address of its life before, and joins it through others that run.
	start(ctx context.Context, i int) error
	// kill ends it as a killed process ends: its sockets are closed, and nobody is told.
	kill(i int) error
	// silence makes it stand still, as a stopped process or a host without power: packets to it vanish. kill ends it then.
	silence(ctx context.Context, i int) error
	// count is how many members i holds live, itself included.
	count(i int) int
	// connections is how many i holds open between exchanges; 0 for a system without.
	connections(i int) int
	// close ends all.
	close()
}

// newCluster makes one whose members tell w what they come to hold. Nobody runs yet.
func newCluster(o options, w *watch) (cluster, error) {
	switch o.inside {
	case "rollcall":
		return newRollcall(o, w)
	case "memberlist":
		return newMemberlist(o, w), nil
	default:
		return nil, fmt.Errorf("-inside %s: it must be one of %q", o.inside, systems)
	}
}

// A pause between two joins: a newcomer shakes hands with all its neighbours, which is dozens of milliseconds of CPU, and
// the more of them there are the more the others compete for the same cores.
const (
	joinPauseUsual = 50 * time.Millisecond
	joinPauseMany  = 120 * time.Millisecond
)

// form starts everybody, one after the other, and waits until each holds all the others live.
func form(ctx context.Context, o options, c cluster) error {
	ctx, cancel := context.WithTimeout(ctx, o.formLimit())
	defer cancel()
	pause := joinPauseUsual
	if o.n >= manyMembers {
		pause = joinPauseMany
	}
	for i := range o.n {
		if err := c.start(ctx, i); err != nil {
			return fmt.Errorf("start member %d: %w", i, err)
		}
		if err := rest(ctx, pause); err != nil {
			return fmt.Errorf("%d of %d members started: %w", i+1, o.n, err)
		}
		if (i+1)%250 == 0 {
			progress("%s: %d members started", o.inside, i+1)
			collect(o.n)
		}
	}
	return whole(ctx, o, c)
}

// whole waits until every member holds all the others live.
func whole(ctx context.Context, o options, c cluster) error {
	ctx, cancel := context.WithTimeout(ctx, o.formLimit())
	defer cancel()
	said := time.Now()
	for {
		behind, fewest := 0, o.n
		for i := range o.n {
			if n := c.count(i); n != o.n {
				behind++
				fewest = min(fewest, n)
			}
		}
		if behind == 0 {
			return nil
		}
		if time.Since(said) > 10*time.Second {
			said = time.Now()
			progress("%s: %d of %d members do not hold all live, one only %d", o.inside, behind, o.n, fewest)
		}
		if err := rest(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("the cluster is not whole: %d of %d members do not hold all live, one only %d: %w",
				behind, o.n, fewest, err)
		}
	}
}

// rest waits, unless ctx ends before.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// name is member i's id in both systems.
func name(i int) string { return fmt.Sprintf("n%04d", i) }

// indexOf is the inverse of name; -1 for what is no name.
func indexOf(id string) int {
	var i int
	if _, err := fmt.Sscanf(id, "n%d", &i); err != nil {
		return -1
	}
	return i
}
