package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"rollcall/swim"
)

// ErrNoSeed is returned by Join when no seed answered.
var ErrNoSeed = errors.New("agent: no seed answered")

// joinResult is what came of one seed.
type joinResult struct {
	from netip.AddrPort
	err  error
}

// Join exchanges state with each seed in parallel and returns how many answered. It fails, with ErrNoSeed and each
// seed's own error, only when none did; the caller decides whether to try again. The own address among the seeds, and whatever
// else leads back to this member, is passed over; with no other seed Join returns 0 and no error.
func (a *Agent) Join(ctx context.Context, seeds []netip.AddrPort) (int, error) {
	results := make(chan joinResult, len(seeds))
	asked := 0
	for _, seed := range seeds {
		if seed == a.cfg.Node.Addr || seed == a.cfg.Transport.LocalAddr() {
			continue
		}
		asked++
		go func() { results <- joinResult{seed, a.joinOne(ctx, seed)} }()
	}
	var errs []error
	answered := 0
	for range asked {
		switch r := <-results; {
		case r.err == nil:
			answered++
		case !errors.Is(r.err, ErrSelf):
			errs = append(errs, fmt.Errorf("%v: %w", r.from, r.err))
		}
	}
	if answered == 0 && len(errs) > 0 {
		return 0, errors.Join(append([]error{ErrNoSeed}, errs...)...)
	}
	return answered, nil
}

func (a *Agent) joinOne(ctx context.Context, seed netip.AddrPort) (err error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeLimit)
	defer cancel()
	stop := context.AfterFunc(a.ctx, cancel)
	defer stop()
	defer func() {
		if err != nil && a.ctx.Err() != nil {
			err = ErrClosed // whatever Close broke off
		}
	}()
	state := make(chan []byte, 1)
	select {
	case a.inbox <- &input{Input: swim.Join(seed, 0), reply: state}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var mine []byte
	select {
	case mine = <-state:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	from, theirs, err := a.cfg.Transport.Exchange(ctx, swim.Peer{Addr: seed}, mine)
	if err != nil {
		return err
	}
	return a.do(ctx, swim.ExchangeReply(from, seed, theirs))
}
