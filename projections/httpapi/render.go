package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"rollcall/projections"
)

// Lists of nodes are written by hand, to the bytes that encoding/json would write: it takes some five times as long, and a
// list of a thousand nodes would keep a processor from everything else for milliseconds. BenchmarkNodes shows the cost.

// nodeRoom is about how many bytes a node takes in a list.
const nodeRoom = 288

// sendNodes answers with nodes as they stood at ans.asOf, in a list called name.
func sendNodes(w http.ResponseWriter, r *http.Request, ans answer, name string, nodes []*projections.Node) error {
	head, err := json.Marshal(ans)
	if err != nil {
		return err
	}
	buf := append(make([]byte, 0, len(head)+nodeRoom*(1+len(nodes))), head[:len(head)-1]...) // it goes on
	buf = append(appendText(append(buf, ','), name), ":["...)
	for i, n := range nodes {
		if i > 0 {
			buf = append(buf, ',')
		}
		if buf, err = appendNode(buf, n, ans.asOf); err != nil {
			return err
		}
	}
	sendJSON(w, r, append(buf, "]}\n"...))
	return nil
}

// appendNode writes a node as it stood at now: what encoding/json makes of renderNode.
func appendNode(buf []byte, n *projections.Node, now time.Time) ([]byte, error) {
	buf = appendText(append(buf, `{"id":`...), n.ID)
	buf = appendText(append(buf, `,"address":`...), n.Address)
	buf = appendText(append(buf, `,"state":`...), n.State.String())
	buf = strconv.AppendUint(append(buf, `,"incarnation":`...), n.Incarnation, 10)
	buf = appendTags(append(buf, `,"tags":`...), n.Tags)
	buf = appendStamp(append(buf, `,"since":`...), n.Since)
	buf = strconv.AppendUint(append(buf, `,"since_position":`...), n.SincePosition, 10)
	buf = appendTexts(append(buf, `,"accusers":`...), n.Accusers)
	buf = appendTexts(append(buf, `,"unreachable_from":`...), n.UnreachableFrom(now))
	if n.Parked != nil {
		var err error
		if buf, err = appendJSON(append(buf, `,"parked":`...), renderParked(n.Parked)); err != nil {
			return nil, err
		}
	}
	return append(buf, '}'), nil
}

// tagsRoom is how many tags are sorted without taking memory for it.
const tagsRoom = 16

// appendTags writes them by key.
func appendTags(buf []byte, tags map[string]string) []byte {
	var room [tagsRoom]string
	keys := room[:0]
	for key := range tags {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	buf = append(buf, '{')
	for i, key := range keys {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = appendText(append(appendText(buf, key), ':'), tags[key])
	}
	return append(buf, '}')
}

func appendTexts(buf []byte, list []string) []byte {
	buf = append(buf, '[')
	for i, text := range list {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = appendText(buf, text)
	}
	return append(buf, ']')
}

func appendStamp(buf []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(buf, "null"...)
	}
	return append(t.UTC().AppendFormat(append(buf, '"'), time.RFC3339Nano), '"')
}

// appendText writes a string. What is not plain ASCII is left to encoding/json.
func appendText(buf []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			buf, _ = appendJSON(buf, text) // a string can be written
			return buf
		}
	}
	return append(append(append(buf, '"'), text...), '"')
}

// appendJSON writes any value.
func appendJSON(buf []byte, value any) ([]byte, error) {
	var out bytes.Buffer
	if err := encoderTo(&out).Encode(value); err != nil {
		return buf, err
	}
	return append(buf, bytes.TrimSuffix(out.Bytes(), []byte{'\n'})...), nil
}
