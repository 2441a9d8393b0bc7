package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// tab is one page in the browser. What the page complains of on the console fails the test in the end, unless it was
// expected.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
	expected   []string // parts of complaints that belong to the test
}

// open shows url in a window of that width, with cookies and credentials of its own.
func open(t *testing.T, url string, width int64) *tab {
	t.Helper()
	limited, stop := context.WithTimeout(browser, 4*patience)
	t.Cleanup(stop)
	b := &tab{t: t}
	ctx, cancel := chromedp.NewContext(limited, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.listen))
	b.ctx = ctx
	t.Cleanup(func() {
		if !t.Failed() {
			b.spellsOut()
		} else {
			b.shot("failed-" + strings.ReplaceAll(t.Name(), "/", "-"))
		}
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, complaint := range b.complaints {
			t.Errorf("the page complains: %s", complaint)
		}
	})
	enable := func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, log.Enable, cdp.Empty{})
		return chromedp.Void{}, err
	}
	b.run("open the page", enable, chromedp.EmulateViewport(width, 1000), chromedp.Navigate(url))
	return b
}

func (b *tab) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.complain(fmt.Sprintf("exception: %s %s", e.ExceptionDetails.Text, described(e.ExceptionDetails.Exception)))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			for _, said := range e.Args {
				b.complain("console: " + described(said))
			}
		}
	case *log.EventEntryAdded: // a breach of the policy, a request that failed
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.complain(fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	}
}

// spellsOut fails when a value that is not there is shown as a script writes it.
func (b *tab) spellsOut() {
	b.t.Helper()
	if found := b.eval(`document.body.innerText.match(/.*(undefined|NaN|\[object|null|Infinity).*/)?.[0] ?? ""`); found != "" {
		b.t.Errorf("the page shows %q", found)
	}
}

func described(o *runtime.RemoteObject) string {
	if o == nil {
		return ""
	}
	return fmt.Sprintf("%s %s", o.Description, o.Value)
}

func (b *tab) complain(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, part := range b.expected {
		if strings.Contains(text, part) {
			return
		}
	}
	b.complaints = append(b.complaints, text)
}

// expect says that complaints with this in them belong to the test.
func (b *tab) expect(part string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected = append(b.expected, part)
}

func (b *tab) run(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// eval returns the value of an expression, as text.
func (b *tab) eval(expression string) string {
	b.t.Helper()
	out, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return out
}

// text is what an element shows; empty when there is none.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return strings.TrimSpace(b.eval(fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector)))
}

// until waits until an expression is true, and fails with what show gives otherwise.
func (b *tab) until(what, expression, show string) {
	b.t.Helper()
	b.within(patience, what, expression, show)
}

func (b *tab) within(bound time.Duration, what, expression, show string) {
	b.t.Helper()
	deadline := time.After(bound)
	poll := time.NewTicker(30 * time.Millisecond)
	defer poll.Stop()
	for b.eval("Boolean("+expression+")") != "true" {
		select {
		case <-poll.C:
		case <-deadline:
			b.t.Fatalf("%s: not after %v; %s is %q", what, bound, show, b.eval(show))
		}
	}
}

// shows waits until an element shows a text.
func (b *tab) shows(selector, text string) {
	b.t.Helper()
	shown := fmt.Sprintf("(document.querySelector(%q)?.innerText ?? '(not there)')", selector)
	b.until(fmt.Sprintf("%s shows %q", selector, text), fmt.Sprintf("%s.includes(%q)", shown, text), shown)
}

// hides waits until an element is not to be seen.
func (b *tab) hides(selector string) {
	b.t.Helper()
	b.until(selector+" is hidden", fmt.Sprintf("!document.querySelector(%q)?.checkVisibility()", selector), "document.body.innerText")
}

func (b *tab) click(selector string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.WaitEnabled(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector))); err != nil {
		b.t.Fatalf("press %s: %v", selector, err)
	}
}

// write types into a field, in the place of what stands there.
func (b *tab) write(selector, text string) {
	b.t.Helper()
	b.eval(fmt.Sprintf("document.querySelector(%q).focus(), document.querySelector(%q).select()", selector, selector))
	b.press(text)
}

// press types keys where the focus is.
func (b *tab) press(keys string) {
	b.t.Helper()
	b.run("press "+keys, chromedp.KeyEvent(keys))
}

// slide moves the scrubber to a position, as the mouse does.
func (b *tab) slide(position string) {
	b.t.Helper()
	b.eval(fmt.Sprintf(`(() => { const s = document.getElementById("moment"); s.value = %q; s.dispatchEvent(new Event("input")); })()`, position))
}

func (b *tab) count(selector string) string {
	b.t.Helper()
	return b.eval(fmt.Sprintf("document.querySelectorAll(%q).length", selector))
}

// scheme is what the reader prefers, "light" or "dark".
func (b *tab) scheme(name string) {
	b.t.Helper()
	b.run("prefer "+name, func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return chromedp.Void{}, err
	})
}

// shot writes a picture of the page, where -shots asks for them.
func (b *tab) shot(name string) {
	if *shots == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Logf("no picture of %s: %v", name, err)
		return
	}
	if err := os.WriteFile(filepath.Join(*shots, name+".png"), png, 0o644); err != nil {
		b.t.Error(err)
	}
}

// state is an expression for the state that the table shows of a node.
func state(id string) string {
	return fmt.Sprintf("document.querySelector('tr[data-node=%q] .state')?.innerText", id)
}

// inState waits until the table shows a node in a state.
func (b *tab) inState(id, want string) {
	b.t.Helper()
	b.until(id+" is "+want, fmt.Sprintf("%s === %q", state(id), want), state(id))
}
