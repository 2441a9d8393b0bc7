package httpserver

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// ReadObject reads a body that is one JSON object and nothing after it, without other fields than value has. The error is
// encoding/json's, or what the body's reader says, such as [http.MaxBytesError].
func ReadObject(r *http.Request, value any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(value); err != nil {
		return err
	}
	if _, more := dec.Token(); !errors.Is(more, io.EOF) {
		return errors.New("something follows the object")
	}
	return nil
}
