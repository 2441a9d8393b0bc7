package httpserver

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// guard lets through who shows a token: as a bearer token, RFC 6750, or as the password of any user, RFC 7617, which is what a
// browser asks its user for, once, and sends with everything that the page fetches.
type guard struct {
	tokens *followed[[]hash]
	next   http.Handler
}

// open are the paths that need no token: those who ask there, to restart or to route, seldom have one, and learn nothing of members.
func open(path string) bool { return path == "/livez" || path == "/readyz" }

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	shown := shownToken(r)
	if shown != "" && g.knows(shown) {
		g.next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenShown{}, true)))
		return
	}
	if open(r.URL.Path) {
		g.next.ServeHTTP(w, r)
		return
	}
	w.Header().Add("WWW-Authenticate", `Bearer realm="rollcall"`)
	w.Header().Add("WWW-Authenticate", `Basic realm="rollcall", charset="UTF-8"`)
	detail := "send the header Authorization: Bearer TOKEN, or any user with the token as the password"
	if shown != "" {
		detail = "the server does not know the token that was sent; " + detail
	}
	NewProblem(http.StatusUnauthorized, "unauthorized", "A token is needed here", detail).Write(w)
}

// shownToken is the token that a request shows; empty when it shows none.
func shownToken(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// knows compares with every token, in a time that tells nothing about any of them.
func (g *guard) knows(token string) bool {
	shown, known := sha256.Sum256([]byte(token)), 0
	for _, one := range g.tokens.get() {
		known |= subtle.ConstantTimeCompare(shown[:], one[:])
	}
	return known == 1
}

// tokenShown marks the context of a request that showed a token.
type tokenShown struct{}

func showedToken(r *http.Request) bool { return r.Context().Value(tokenShown{}) != nil }
