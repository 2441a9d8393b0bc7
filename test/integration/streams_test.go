package integration

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	streamClients = flag.Int("stream-clients", 50, "clients in TestI10StreamClients")
	streamSeconds = flag.Int("stream-seconds", 3, "for how long events flow to them")
	streamRate    = flag.Int("stream-rate", 1000, "events a second")
	streamStrict  = flag.Bool("stream-strict", false, "fail unless the events flowed, and were seen by all, at that rate")
)

// memoryMax is what a projector may take for each client of its event stream, and for everything else: bytes.
const (
	memoryEach = 256 << 10
	memoryBase = 400 << 20
)

// I10: every client of the event stream sees each position once and in order, while events flow; one in ten goes away at times
// and comes back with Last-Event-ID, and all of them when the server says that they are too slow. I15: the projector's
// memory is bounded.
func TestI10StreamClients(t *testing.T) {
	t.Parallel()
	f := newFeed(t, 200, 1)
	f.tell(500)
	p, api := f.projector("projector", t.TempDir())
	reached(t, api, f.last)
	client := &http.Client{Transport: &http.Transport{DisableCompression: true, ReadBufferSize: 32 << 10}}
	defer client.CloseIdleConnections()
	from, target := f.last+1, f.last+uint64(*streamSeconds**streamRate)

	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(*streamSeconds)*time.Second+4*patience)
	defer cancel()
	var listening, connected sync.WaitGroup
	errs := make(chan error, *streamClients)
	resumed := make(chan int, *streamClients)
	for i := range *streamClients {
		connected.Add(1)
		l := &listener{
			client: client, url: api + "/v1/events/stream", next: from, target: target, connected: sync.OnceFunc(connected.Done),
			rnd: rand.New(rand.NewPCG(uint64(i), 0)), restless: i%10 == 0,
		}
		listening.Go(func() {
			defer l.connected()
			errs <- l.listen(ctx)
			resumed <- l.resumed
		})
	}
	connected.Wait()
	began := time.Now()
	f.tellAt(int(target-f.last), *streamRate)
	told := time.Since(began)
	listening.Wait()
	seen := time.Since(began)
	total := 0
	for range *streamClients {
		if err := <-errs; err != nil {
			t.Error(err)
		}
		total += <-resumed
	}
	limit := int64(memoryBase + *streamClients*memoryEach)
	if peak(p) > limit {
		t.Errorf("the projector took %d MB, want at most %d (I15)", peak(p)>>20, limit>>20)
	}
	events := int(target - from + 1)
	t.Logf("%d clients, %d events in %.2f s, %.0f a second: each seen once and in order by each client, the last %.2f s after it; "+
		"%d resumptions; projector at most %d MB of %d, and %.1f s of processor time", *streamClients, events, told.Seconds(),
		float64(events)/told.Seconds(), (seen - told).Seconds(), total, peak(p)>>20, limit>>20, used(p).Seconds())
	if due := time.Duration(*streamSeconds) * time.Second; *streamStrict && seen > due+due/20 {
		t.Errorf("the last event was seen by all after %.2f s, want %v and a twentieth", seen.Seconds(), due)
	}
}

// peak is the most memory that a process had, in bytes; 0 where there is no /proc.
func peak(p *process) int64 {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// used is the processor time that a process has taken; 0 where there is no /proc.
func used(p *process) time.Duration {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(raw), ") ") // behind the name, which may hold anything
	field := strings.Fields(rest)
	if len(field) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(field[11], 10, 64)
	system, _ := strconv.ParseInt(field[12], 10, 64)
	return time.Duration(user+system) * time.Second / 100 // Linux tells hundredths everywhere
}

// listener is one client of the stream.
type listener struct {
	client    *http.Client
	url       string
	next      uint64 // position that has to come next
	target    uint64 // the last one
	connected func()
	rnd       *rand.Rand
	restless  bool // it goes away at times
	resumed   int
}

var errAway = errors.New("the client went away")

// listen reads until it has seen the target.
func (l *listener) listen(ctx context.Context) error {
	for {
		err := l.read(ctx)
		switch {
		case l.next > l.target:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("waiting for position %d of %d: %w", l.next, l.target, ctx.Err())
		case err != nil && !errors.Is(err, errAway) && !errors.Is(err, io.EOF):
			return err
		}
		l.resumed++
	}
}

var idLine = []byte("id: ")

// read opens the stream behind what was seen and reads until it ends, or the client has had enough of it.
func (l *listener) read(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Last-Event-ID", strconv.FormatUint(l.next-1, 10))
	res, err := l.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", res.Status)
	}
	l.connected()
	patient := uint64(1) << 62
	if l.restless {
		patient = l.next + 100 + l.rnd.Uint64N(1000)
	}
	messages := bufio.NewScanner(res.Body)
	messages.Buffer(make([]byte, 64<<10), messageMax)
	messages.Split(message)
	for messages.Scan() {
		line, _, _ := bytes.Cut(messages.Bytes(), []byte{'\n'})
		id, ok := bytes.CutPrefix(line, idLine)
		if !ok {
			continue
		}
		position, err := strconv.ParseUint(string(id), 10, 64)
		if err != nil {
			return fmt.Errorf("id %q: %w", id, err)
		}
		if position != l.next {
			return fmt.Errorf("position %d came where %d has to come (I10)", position, l.next)
		}
		if l.next++; l.next > l.target {
			return nil
		}
		if position >= patient {
			return errAway
		}
	}
	return cmp.Or(messages.Err(), io.EOF)
}

// messageMax is how long a message of the stream may be, in bytes.
const messageMax = 1 << 20

// message is a bufio.SplitFunc: what an empty line ends. What is cut off before it is none.
func message(data []byte, _ bool) (advance int, token []byte, err error) {
	if n := bytes.Index(data, []byte("\n\n")); n >= 0 {
		return n + 2, data[:n], nil
	}
	return 0, nil, nil
}
