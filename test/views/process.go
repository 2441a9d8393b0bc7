package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"time"

	"rollcall/infra/natsd"
)

// serverRole as the first argument makes this program the NATS server of a run.
const serverRole = "nats-server"

// serve runs a NATS server in the directory until it is interrupted. It flushes now and then: what is measured is reading.
func serve(args []string) error {
	if len(args) != 1 {
		return errors.New("want a directory")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s, err := natsd.Start(ctx, natsd.Config{
		Dir: args[0], Listen: "127.0.0.1:0", SyncInterval: time.Minute, Logger: slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	s.Shutdown()
	return nil
}

// build makes the projector of this tree.
func build(ctx context.Context, into string) error {
	out, err := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", into, "rollcall/cmd/projector").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// process is a program that logs JSON to standard error.
type process struct {
	cmd   *exec.Cmd
	began time.Time

	mu    sync.Mutex
	lines []map[string]any // what it logged, the first linesMax
	ended chan struct{}
}

const linesMax = 1000

func launch(program string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(program, args...), began: time.Now(), ended: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.listen(stderr)
	return p, nil
}

func (p *process) listen(stderr io.Reader) {
	defer close(p.ended)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		var entry map[string]any
		if json.Unmarshal(lines.Bytes(), &entry) != nil {
			entry = map[string]any{"msg": lines.Text(), "level": "ERROR"}
		}
		if entry["level"] == "ERROR" || entry["level"] == "WARN" {
			fmt.Fprintln(os.Stderr, lines.Text())
		}
		p.mu.Lock()
		if len(p.lines) < linesMax {
			p.lines = append(p.lines, entry)
		}
		p.mu.Unlock()
	}
	_ = p.cmd.Wait() // killed, as a rule
}

// logged waits for a line of the log and returns its value of key.
func (p *process) logged(ctx context.Context, message, key string) (string, error) {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		p.mu.Lock()
		for _, line := range p.lines {
			if line["msg"] == message {
				p.mu.Unlock()
				return fmt.Sprint(line[key]), nil
			}
		}
		p.mu.Unlock()
		select {
		case <-poll.C:
		case <-p.ended:
			return "", fmt.Errorf("%s ended before it logged %q", p.cmd.Path, message)
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// memory reads the process's memory now, and the most it had: bytes. Both are 0 where there is no /proc.
func (p *process) memory() (now, most int64) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(raw)) {
		field := strings.Fields(line)
		if len(field) < 2 {
			continue
		}
		kib, err := strconv.ParseInt(field[1], 10, 64)
		switch {
		case err != nil:
		case field[0] == "VmRSS:":
			now = kib << 10
		case field[0] == "VmHWM:":
			most = kib << 10
		}
	}
	return now, most
}

// cpu is the processor time that the process has taken; 0 where there is no /proc.
func (p *process) cpu() time.Duration {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(raw), ") ") // behind the name, which may hold anything
	field := strings.Fields(rest)
	if len(field) < 13 {
		return 0
	}
	user, uerr := strconv.ParseInt(field[11], 10, 64)
	system, serr := strconv.ParseInt(field[12], 10, 64)
	if uerr != nil || serr != nil {
		return 0
	}
	const tick = time.Second / 100 // Linux tells hundredths everywhere
	return time.Duration(user+system) * tick
}
