// Package web is the page that shows a cluster to people: a live table of its nodes, the timeline of each with the evidence laid
// out, the tail of the log, assignment groups, how the projections do, and all of it as of any moment that the log still holds.
//
//	mux.Handle("GET /web/", http.StripPrefix("/web/", http.FileServerFS(web.Files())))
//
// It is plain HTML, CSS and ES modules, embedded as it is: nothing is built and nothing is fetched from elsewhere. It
// reads the HTTP API of package httpapi and nothing else, follows the event stream and asks for the nodes again when
// one comes. What the log says is only ever set as text, never as markup, and the page works under [Policy]. What is looked at
// (node, moment, filters) stands in the fragment of the address and nowhere else.
//
// Limits: 100 rows at first and 100 more at a press; the newest 1000 events are kept for the marks of the scrubber and for who
// is partitioned, and 200 of them are listed. The longer an answer takes, the longer the page rests before it asks again.
package web

import (
	"embed"
	"io/fs"
)

//go:embed page
var page embed.FS

// Policy is the Content-Security-Policy that the page is served with.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Files returns the page's files: index.html and what it refers to under /web/.
func Files() fs.FS {
	files, err := fs.Sub(page, "page")
	if err != nil {
		panic("web: the embedded page is missing: " + err.Error()) // the go:embed above names it
	}
	return files
}
