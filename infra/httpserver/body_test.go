package httpserver_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rollcall/infra/httpserver"
)

func TestReadObject(t *testing.T) {
	for body, want := range map[string]string{
		`{"node":"n1"}`:               "",
		" {} \n":                      "",
		`{"node":"n1","mode":"soft"}`: "unknown field",
		`{"node":"n1"} {}`:            "something follows the object",
		`{"node":"n1"`:                "unexpected EOF",
		"":                            "EOF",
	} {
		var value struct{ Node string }
		err := httpserver.ReadObject(httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)), &value)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", body, err, want)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"node":"0123456789"}`))
	r.Body = http.MaxBytesReader(httptest.NewRecorder(), r.Body, 8)
	large := new(http.MaxBytesError)
	if err := httpserver.ReadObject(r, new(struct{ Node string })); !errors.As(err, &large) {
		t.Errorf("a body over its bound: %v", err)
	}
}
