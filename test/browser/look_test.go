package browser

import (
	"fmt"
	"strings"
	"testing"

	"rollcall/events"
)

// At every width nothing is wider than the window, and in both colour schemes text stands out from what is behind it as
// WCAG 2.2 asks for (4.5 to 1); everything that can be pressed has a name.
func TestLook(t *testing.T) {
	w := newWorld(t)
	w.tags = map[string]string{"role": "worker", "note": strings.Repeat("long", 60)}
	w.join("n1", "n2", "n3", "n4", "a-node-with-a-name-that-is-as-long-as-names-may-be-0123456789-64")
	w.say(events.Suspected, "n3", "n1", 1, events.Evidence{
		Reason: "probe timeout", Probes: 2, TimeoutMS: 214, RTTMS: 0.4, Phi: 9.1, LocalHealth: 1,
		Relays: []events.Relay{{ID: "n2", Answer: "nack"}, {ID: "n4", Answer: "ack"}},
	})
	w.say(events.Accused, "n3", "n2", 1, events.Evidence{Reason: "missed it too", Probes: 1})
	w.say(events.Accused, "n3", "n4", 1, events.Evidence{Reason: "missed it too", Probes: 1})
	w.say(events.Failed, "n3", "n1", 1, events.Evidence{Accusers: []events.Accuser{{ID: "n1"}, {ID: "n2"}, {ID: "n4", Implicit: true}}})
	w.say(events.Suspected, "n4", "n1", 1, events.Evidence{})
	w.say(events.Left, "n2", "n2", 1, events.Evidence{})
	w.settle()
	for _, width := range []int64{400, 900, 1280, 1600} {
		for _, scheme := range []string{"light", "dark"} {
			t.Run(fmt.Sprintf("%d %s", width, scheme), func(t *testing.T) {
				b := open(t, w.server.URL+"/#node=n3", width)
				b.scheme(scheme)
				b.inState("n3", "failed")
				b.shows("#entries", "Relays")
				b.shows("#link", "live")
				b.shot(fmt.Sprintf("look-%d-%s", width, scheme))
				if over := b.eval("document.scrollingElement.scrollWidth - window.innerWidth"); strings.TrimPrefix(over, "-") == over && over != "0" {
					t.Errorf("the page is %s px wider than the window: %s", over, b.eval(wideElements))
				}
				if pale := b.eval(paleTexts); pale != "" {
					t.Errorf("hard to read: %s", pale)
				}
				if nameless := b.eval(namelessControls); nameless != "" {
					t.Errorf("without a name: %s", nameless)
				}
			})
		}
	}
}

// paleTexts lists what stands out too little: the text's colour against the first opaque background behind it. What is being
// animated is left to come to rest, and what is switched off may be pale.
const paleTexts = `(() => {
	for (const animation of document.getAnimations()) animation.finish();
	const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	const channels = (colour) => {
		paint.clearRect(0, 0, 1, 1);
		paint.fillStyle = colour;
		paint.fillRect(0, 0, 1, 1);
		return [...paint.getImageData(0, 0, 1, 1).data];
	};
	const light = (colour) => {
		const [r, g, b] = channels(colour).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const behind = (node) => {
		for (; node; node = node.parentElement) {
			const back = getComputedStyle(node).backgroundColor;
			if (channels(back)[3] === 255) return back;
		}
		return "white";
	};
	const found = new Set();
	for (const node of document.querySelectorAll("body *")) {
		const own = [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim());
		if (!own || !node.checkVisibility() || node.closest(":disabled, noscript, option")) continue;
		const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((x, y) => y - x);
		const ratio = (a + 0.05) / (b + 0.05);
		if (ratio < 4.5) found.add(node.tagName + "." + node.className + " " + ratio.toFixed(2));
	}
	return [...found].join("; ");
})()`

const namelessControls = `[...document.querySelectorAll("button, input, summary, a")]
	.filter((node) => node.checkVisibility() && !(node.innerText || node.ariaLabel || node.labels?.length))
	.map((node) => node.outerHTML).join("; ")`

const wideElements = `[...document.querySelectorAll("body *")]
	.filter((node) => node.getBoundingClientRect().right > window.innerWidth && !node.closest(".skip"))
	.map((node) => node.tagName + "#" + node.id + "." + node.className).join("; ")`
