// Package browser tests the page in a real browser: what people see and press, with the server and the browser as they are.
//
//	make browser                                             everything; it needs Debian's chromium, or -browser PATH
//	cd test/browser && go test -v -run TestDevCluster -shots /tmp
//
// It is a module of its own, so that neither the browser nor the library that drives it is needed for anything else. Where
// there is no browser it fails and says what to install: nothing here is skipped.
//
// TestDevCluster presses the buttons of a real member dev. The others show what a healthy cluster does not have, over a log
// in memory: hostile tags, unreadable events, a log that was cut off, a thousand nodes. Every test fails also when the
// page says anything on the console, or breaks its Content-Security-Policy.
//
// No test measures time, but for the bound in which a crash is shown: what must come is waited for, up to [patience].
package browser
