package browser

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// patience bounds every wait: far above what a loaded machine needs, so that only what never comes reaches it.
const patience = 45 * time.Second

var (
	browserPath = flag.String("browser", "", "the browser to test with; empty: the first of those that are known by name")
	shots       = flag.String("shots", "", "write pictures of the page into this folder")
)

// browser is the one that all tests open their tabs in; member is the program under test.
var browser context.Context
var member string

func TestMain(m *testing.M) {
	flag.Parse()
	status, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func run(m *testing.M) (status int, err error) {
	program, err := findBrowser()
	if err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "rollcall-browser-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	member = filepath.Join(dir, "member")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", member, "./cmd/member")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("go build: %w\n%s", err, out)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(filepath.Join(dir, "profile")),
		chromedp.Flag("disable-dev-shm-usage", true)) // a container's is often too small
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // the sandbox refuses to start as root
	}
	allocated, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	var cancel context.CancelFunc
	browser, cancel = chromedp.NewContext(allocated)
	defer cancel()
	if err := chromedp.Do(browser); err != nil {
		return 1, fmt.Errorf("%s does not start: %w", program, err)
	}
	return m.Run(), nil
}

var errNoBrowser = errors.New("there is no browser to test the page in: apt-get install chromium, or name one with -browser PATH")

func findBrowser() (string, error) {
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless-shell"}
	if *browserPath != "" {
		names = []string{*browserPath}
	}
	for _, name := range names {
		if found, err := exec.LookPath(name); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("%w (looked for %s)", errNoBrowser, strings.Join(names, ", "))
}
