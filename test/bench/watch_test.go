package main

import "testing"

// TestEpisode: first sightings count once each, the dead one's own belief not at all, and the episode is done when all
// others hold it failed.
func TestEpisode(t *testing.T) {
	w := &watch{}
	e := w.begin(2, 2)
	w.see(2, 0, failed) // out of the world
	w.see(0, 2, suspected)
	w.see(0, 2, failed)
	w.see(0, 2, failed) // again: it is one member still
	if got := w.outcome(e); got.holders != 1 || got.everywhere >= 0 || got.suspected < 0 || got.told >= 0 {
		t.Errorf("with one of two: %+v", got)
	}
	w.see(1, 2, failed)
	<-e.done
	if got := w.outcome(e); got.holders != 2 || got.everywhere < got.failed || got.failed < got.suspected {
		t.Errorf("with both: %+v", got)
	}
	w.end()
	if suspicions, failures, _ := w.wrongs(); suspicions != 0 || failures != 0 {
		t.Errorf("%d suspicions and %d failures of the healthy, and there were none", suspicions, failures)
	}
}

// TestWronged: whoever is accused and did not crash was wronged, in an episode and outside.
func TestWronged(t *testing.T) {
	w := &watch{}
	w.see(0, 1, suspected)
	w.begin(2, 2)
	w.see(0, 1, suspected)
	w.see(1, 0, failed)
	w.lose(3)
	if suspicions, failures, missed := w.wrongs(); suspicions != 2 || failures != 1 || missed != 3 {
		t.Errorf("%d suspicions, %d failures, %d missed", suspicions, failures, missed)
	}
}

// TestAccusationLine: memberlist's log line names whom it accuses; other lines accuse nobody.
func TestAccusationLine(t *testing.T) {
	w := &watch{}
	for _, line := range []string{
		"[INFO] memberlist: Suspect n0007 has failed, no acks received\n",
		"[INFO] memberlist: Marking n0007 as failed, suspect timeout reached (2 peer confirmations)\n",
		"[DEBUG] memberlist: Failed UDP ping: n0007 (timeout reached)\n",
	} {
		if _, err := (accusations{0, w}).Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if suspicions, failures, _ := w.wrongs(); suspicions != 1 || failures != 0 {
		t.Errorf("%d suspicions, %d failures; want 1, 0", suspicions, failures)
	}
}

func TestNames(t *testing.T) {
	for _, i := range []int{0, 7, 4999} {
		if got := indexOf(name(i)); got != i {
			t.Errorf("%s is %d", name(i), got)
		}
	}
	if got := indexOf("somebody"); got != -1 {
		t.Errorf("no name is %d", got)
	}
}
