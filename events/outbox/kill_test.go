package outbox_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rollcall/events/outbox"
)

// The tests here need a process of their own to kill, or to limit: the test binary, started again in a role.
const (
	childRole = "OUTBOX_TEST_ROLE"
	childPath = "OUTBOX_TEST_PATH"
	rolePut   = "put"
	roleFull  = "full"
)

const (
	fileLimit     = 256 << 10 // how large the child of a full disk may make its file
	doneWhileFull = 5         // entries that it takes out then
)

func child(role, path string) {
	var err error
	switch role {
	case rolePut:
		err = childPuts(path)
	case roleFull:
		err = childFills(path)
	default:
		err = fmt.Errorf("no role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// childPuts puts from four goroutines until it is killed and prints the text of each event that was acknowledged.
func childPuts(path string) error {
	box, err := outbox.Open(outbox.Config{Path: path})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				text := fmt.Sprintf("%d-%d-%06d", os.Getpid(), w, i)
				if err := box.Put(event(text)); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Println(text) // one write, never half a line
			}
		})
	}
	wg.Wait()
	return nil
}

func startChild(t *testing.T, role, path string) (*exec.Cmd, io.ReadCloser) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role, childPath+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// I1, I11: killed at any moment, the outbox holds every event that was acknowledged, once, in the order of its writer.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	acknowledged := make(map[string]bool)
	for range 8 {
		cmd, out := startChild(t, rolePut, path)
		lines := bufio.NewScanner(out)
		for n := random.IntN(120); n >= 0 && lines.Scan(); n-- {
			acknowledged[lines.Text()] = true
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it had acknowledged before the signal came
			acknowledged[lines.Text()] = true
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
	}
	box := open(t, outbox.Config{Path: path})
	last := make(map[string]string)
	held := make(map[string]bool)
	for _, e := range pending(t, box) {
		text := text(e.Event)
		writer := text[:strings.LastIndex(text, "-")]
		if text <= last[writer] {
			t.Errorf("%s comes after %s", text, last[writer])
		}
		last[writer], held[text] = text, true
	}
	for text := range acknowledged {
		if !held[text] {
			t.Errorf("%s was acknowledged and is not there", text)
		}
	}
	if len(acknowledged) < 8 || box.AsideLen() != 0 {
		t.Errorf("%d acknowledged, %d put aside", len(acknowledged), box.AsideLen())
	}
}

// A full disk refuses new events, says so, harms none that was accepted, lets them drain, and is found to have room again
// without anybody asking.
func TestDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	cmd, out := startChild(t, roleFull, path)
	var accepted []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		accepted = append(accepted, lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(accepted) < 10 {
		t.Fatalf("only %d events accepted", len(accepted))
	}
	box := open(t, outbox.Config{Path: path})
	held := strings.Fields(texts(pending(t, box)))
	if back := len(held) - len(accepted); back > 0 && back <= doneWhileFull {
		held = held[back:] // a full disk may not even take a removal: what was done comes back
	}
	if !slices.Equal(held, accepted) {
		t.Errorf("%d events accepted and not done, %d others held", len(accepted), len(held))
	}
}

// childFills works through a full disk and prints the text of every event that must be there at the end.
func childFills(path string) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	full := syscall.Rlimit{Cur: fileLimit, Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		return err
	}
	box, err := outbox.Open(outbox.Config{Path: path})
	if err != nil {
		return err
	}
	kept, err := fill(box, "a")
	if err != nil {
		return err
	}
	if n := box.Len(); n != len(kept) {
		return fmt.Errorf("%d events accepted, the outbox counts %d", len(kept), n)
	}
	entries, err := box.Pending(0, doneWhileFull)
	if err != nil || len(entries) != doneWhileFull {
		return fmt.Errorf("the outbox does not drain: %d entries, %v", len(entries), err)
	}
	for _, e := range entries {
		box.Done(e.Seq)
	}
	if err := box.Close(); err != nil {
		return err
	}
	if box, err = outbox.Open(outbox.Config{Path: path}); err != nil {
		return fmt.Errorf("a full disk keeps the outbox from opening: %w", err)
	}
	more, err := fill(box, "b") // what was done may have made room
	if err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	if err := awaitAccepting(box); err != nil {
		return err
	}
	if err := box.Put(event("last")); err != nil {
		return err
	}
	for _, text := range append(append(kept[doneWhileFull:], more...), "last") {
		fmt.Println(text)
	}
	return box.Close()
}

// fill puts events of one page each until the disk is full and returns the text of those that were accepted.
func fill(box *outbox.Outbox, name string) ([]string, error) {
	var accepted []string
	for i := range 1000 {
		text := fmt.Sprintf("%s%d", name, i) + strings.Repeat(".", 4000)
		switch err := box.Put(event(text)); {
		case errors.Is(err, outbox.ErrFull):
			if err := box.Accepting(); !errors.Is(err, outbox.ErrFull) {
				return nil, fmt.Errorf("a full disk accepts: %v", err)
			}
			return accepted, nil
		case err != nil:
			return nil, err
		}
		accepted = append(accepted, text)
	}
	return nil, errors.New("the disk was never full")
}

// awaitAccepting returns when the outbox has found out by itself that there is room.
func awaitAccepting(box *outbox.Outbox) error {
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if box.Accepting() == nil {
				return nil
			}
		case <-deadline:
			return fmt.Errorf("there is room again, and the outbox does not accept: %w", box.Accepting())
		}
	}
}
