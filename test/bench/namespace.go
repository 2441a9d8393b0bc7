package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// runIsolated measures one system in a process of its own, in a network namespace of its own if the kernel allows it: as
// root at once, otherwise through a user namespace. Without one the loopback counters are everybody's, and the table says so.
func runIsolated(ctx context.Context, o options, system string) (result, error) {
	var first error
	for _, flags := range []uintptr{unix.CLONE_NEWNET, unix.CLONE_NEWNET | unix.CLONE_NEWUSER, 0} {
		r, started, err := runInside(ctx, o, system, flags)
		if started {
			return r, err
		}
		if first == nil {
			first = err
		}
		if flags == 0 {
			return r, err
		}
	}
	return result{}, first
}

// runInside starts this command again for one system. started tells a kernel that grants no namespace from a measurement
// that failed.
func runInside(ctx context.Context, o options, system string, flags uintptr) (r result, started bool, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.limit())
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-inside", system,
		"-n", strconv.Itoa(o.n), "-trials", strconv.Itoa(o.trials), "-hold", o.hold.String(), "-settle", o.settle.String(),
		"-seed", strconv.FormatUint(o.seed, 10), "-only", system, "-cpuprofile", o.profile)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = closeLimit
	// A session of its own is a scheduling group of its own, for urgent.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Setsid: true, Pdeathsig: syscall.SIGKILL}
	if flags&unix.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if flags != 0 {
		cmd.Env = append(os.Environ(), isolatedVariable+"=1")
	}
	runtime.LockOSThread() // Pdeathsig means the thread, not the process
	defer runtime.UnlockOSThread()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return r, false, err
	}
	if err := cmd.Start(); err != nil {
		return r, false, err
	}
	decodeErr := json.NewDecoder(out).Decode(&r)
	if err := cmd.Wait(); err != nil {
		return r, true, err
	}
	return r, true, decodeErr
}

// isolatedVariable tells the inner process that it has a network namespace to itself.
const isolatedVariable = "BENCH_ISOLATED"

// ownNetwork brings the loopback interface of a fresh namespace up, and reports whether there is one.
func ownNetwork() (isolated bool, err error) {
	if os.Getenv(isolatedVariable) == "" {
		return false, nil
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return true, err
	}
	defer func() { _ = unix.Close(fd) }()
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return true, err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return true, fmt.Errorf("bring the namespace's loopback interface up: %w", err)
	}
	return true, nil
}

// urgency is the nice value asked for. A thousand members in one process share what a thousand machines would have: where
// others compete for the cores, all of them stand still at once, and what is measured then is the others.
const urgency = -20

// urgent raises this process's priority, its scheduling group's where the kernel groups by session, and reports whether
// both could be done: root may, others may not.
func urgent() bool {
	grouped := os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(urgency)), 0)
	if errors.Is(grouped, fs.ErrNotExist) {
		grouped = nil // the kernel has no such groups
	}
	threads, err := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		id, bad := strconv.Atoi(t.Name())
		err = errors.Join(err, bad, unix.Setpriority(unix.PRIO_PROCESS, id, urgency)) // later threads inherit it
	}
	return err == nil && grouped == nil
}

// closeLimit is for the orderly end of a cluster.
const closeLimit = 30 * time.Second
