package projector

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"rollcall/projections"
)

// Many who ask for one instant at once wait for one fold; a failure of it is theirs too.
func TestPastIsFoldedOnceForAll(t *testing.T) {
	broken := errors.New("broken")
	for name, want := range map[string]error{"views": nil, "a failure": broken} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c past
				made := projections.New("test").Freeze()
				folds, release := 0, make(chan struct{})
				var asking sync.WaitGroup
				for range 10 {
					asking.Go(func() {
						views, err := c.get(t.Context(), At{Position: 7}, 0, func(*projections.Views) (*projections.Views, bool, error) {
							folds++
							<-release
							return made, true, want
						})
						if !errors.Is(err, want) || err == nil && views != made {
							t.Errorf("%v, %v", views, err)
						}
					})
				}
				synctest.Wait()
				close(release)
				asking.Wait()
				if folds != 1 {
					t.Errorf("%d folds", folds)
				}
			})
		})
	}
}

// Whoever waits for somebody else's fold goes on when his own patience ends, and folds himself when the other goes away.
func TestPastOutlivesWhoAskedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c past
		at, made := At{Position: 7}, projections.New("test").Freeze()
		first, leave := context.WithCancel(t.Context())
		impatient, lose := context.WithCancel(t.Context())
		endless := func(*projections.Views) (*projections.Views, bool, error) {
			<-first.Done()
			return nil, false, first.Err()
		}
		quick := func(*projections.Views) (*projections.Views, bool, error) { return made, true, nil }
		var asking sync.WaitGroup
		asks := func(who string, ctx context.Context, fold foldPast, want error) {
			asking.Go(func() {
				views, err := c.get(ctx, at, 0, fold)
				if !errors.Is(err, want) || want == nil && views != made {
					t.Errorf("%s: %v, %v", who, views, err)
				}
			})
			synctest.Wait()
		}
		asks("the first", first, endless, context.Canceled)
		asks("the impatient", impatient, quick, context.Canceled)
		asks("the patient", t.Context(), quick, nil)
		lose()
		synctest.Wait()
		leave()
		asking.Wait()
	})
}
