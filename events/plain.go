package events

import (
	"strconv"
	"time"
)

// A log is written by one encoder and read for ever: nearly every body has its members in the order, and its strings in
// the bytes, that [Encode] gives them. decodePlain knows that writing and no other. It takes the words of the subject and
// looks whether the body says the same, instead of finding out what the body says, and it leaves evidence as it found it,
// once it is known to be JSON. Where it says nothing, decodeAny has the word; where it does, it says what decodeAny says,
// to the byte: a test compares the two on every single-byte change of the corpus, and a fuzz test on what it can think of.

// plainDepth bounds how deep evidence may be nested to be plain. Ours is nested three deep.
const plainDepth = 16

// decodePlain reads the body of an event as Encode writes it, found under its own subject. It reports false for all others,
// good or bad: a plan, an escape or a byte over 0x7f, another order of members, any that is unknown, white space, and
// whatever is out of bounds or not what the subject says. The evidence is a part of body.
func decodePlain(named *Event, body []byte) (Recorded, bool) {
	if len(body) > BodyMax || named.Kind == Planned {
		return Recorded{}, false
	}
	rec := Recorded{Event: *named}
	s := plainScanner{body: body}
	s.attributes(&rec.Event)
	s.data(&rec.Event)
	if s.bad || s.at < len(body) || validateContent(&rec.Event) != nil {
		return Recorded{}, false
	}
	return rec, true
}

// plainScanner takes a body apart from its front. Once bad it takes nothing any more. Its place is a number, since a slice
// that moves on costs a write barrier a step while the garbage collector is at work.
type plainScanner struct {
	body []byte
	at   int // what comes next
	bad  bool
}

func (s *plainScanner) attributes(ev *Event) {
	s.want(`{"specversion":"` + specVersion + `","id":"`)
	ev.ID = string(s.text())
	s.want(`,"source":"/rollcall/`)
	s.want(ev.Cluster)
	s.want(`/`)
	s.want(ev.Author)
	if ev.Group == "" {
		s.want(`","type":"` + nodeTypePrefix)
	} else {
		s.want(`","type":"` + groupTypePrefix)
	}
	s.want(string(ev.Kind))
	s.want(typeSuffix + `","subject":"`)
	s.want(ev.about())
	s.want(`","time":"`)
	s.time(&ev.Time)
	s.want(`,"datacontenttype":"` + dataContentType + `"`)
	if s.take(`,"traceparent":"`) {
		if trace := string(s.text()); validTraceParent(trace) {
			ev.TraceParent = trace
		}
	}
}

func (s *plainScanner) data(ev *Event) {
	s.want(`,"data":{"cluster":"`)
	s.want(ev.Cluster)
	if ev.Group == "" {
		s.want(`","node":"`)
	} else {
		s.want(`","group":"`)
	}
	s.want(ev.about())
	s.want(`","author":"`)
	s.want(ev.Author)
	s.want(`"`)
	if s.take(`,"incarnation":`) {
		n, err := strconv.ParseUint(string(s.number()), 10, 64)
		ev.Incarnation, s.bad = n, s.bad || err != nil
	}
	if s.take(`,"address":"`) {
		ev.Address = string(s.text())
	}
	if s.take(`,"tags":{"`) {
		ev.Tags = s.tags()
	}
	if s.take(`,"evidence":`) {
		from := s.at
		s.object()
		ev.Evidence = s.body[from:s.at:s.at]
	}
	s.want(`}}`)
}

// take takes text if it comes next, and reports whether it did.
func (s *plainScanner) take(text string) bool {
	end := s.at + len(text)
	if s.bad || end > len(s.body) || string(s.body[s.at:end]) != text {
		return false
	}
	s.at = end
	return true
}

// want takes text, without which the body is not plain.
func (s *plainScanner) want(text string) {
	if !s.take(text) {
		s.bad = true
	}
}

// text takes a string whose opening quote was taken, with its closing quote, and returns what is between.
func (s *plainScanner) text() []byte {
	from := s.at
	for i := from; i < len(s.body) && !s.bad; i++ {
		if c := s.body[i]; c == '"' {
			s.at = i + 1
			return s.body[from:i]
		} else if !verbatim[c] {
			break
		}
	}
	s.bad = true
	return nil
}

// verbatim holds the bytes that stand for themselves in a JSON string and are a character each.
var verbatim = func() (table [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

// number takes a whole number without a sign, as JSON writes one.
func (s *plainScanner) number() []byte {
	number := s.digits()
	if len(number) > 1 && number[0] == '0' {
		s.bad = true
	}
	return number
}

// digits takes one digit or more.
func (s *plainScanner) digits() []byte {
	from := s.at
	for s.at < len(s.body) && s.body[s.at] >= '0' && s.body[s.at] <= '9' {
		s.at++
	}
	if s.at == from {
		s.bad = true
	}
	return s.body[from:s.at]
}

// time takes an RFC 3339 time as encoding/json takes one, after its opening quote.
func (s *plainScanner) time(t *time.Time) {
	text := s.text()
	if s.bad || t.UnmarshalText(text) != nil {
		s.bad = true
		return
	}
	*t = t.UTC()
}

// tags takes the members of an object of strings, after the opening quote of its first key.
func (s *plainScanner) tags() map[string]string {
	tags := make(map[string]string, 4) // most nodes have fewer
	for {
		key := s.text()
		s.want(`:"`)
		value := s.text()
		if s.bad {
			return nil
		}
		tags[string(key)] = string(value)
		if !s.take(`,"`) {
			s.want(`}`)
			return tags
		}
	}
}

// object takes a JSON object without white space, whatever is in it.
func (s *plainScanner) object() {
	if s.at < len(s.body) && s.body[s.at] == '{' {
		s.value(plainDepth)
	} else {
		s.bad = true
	}
}

// value takes any JSON value of at most depth levels.
func (s *plainScanner) value(depth int) {
	if s.bad || depth == 0 || s.at == len(s.body) {
		s.bad = true
		return
	}
	switch s.body[s.at] {
	case '{':
		s.members(depth)
	case '[':
		s.elements(depth)
	case '"':
		s.at++
		s.text()
	case 't':
		s.want("true")
	case 'f':
		s.want("false")
	case 'n':
		s.want("null")
	default:
		s.decimal()
	}
}

func (s *plainScanner) members(depth int) {
	s.at++
	if s.take(`}`) {
		return
	}
	for {
		s.want(`"`)
		s.text()
		s.want(`:`)
		s.value(depth - 1)
		if !s.take(`,`) {
			s.want(`}`)
			return
		}
	}
}

func (s *plainScanner) elements(depth int) {
	s.at++
	if s.take(`]`) {
		return
	}
	for {
		s.value(depth - 1)
		if !s.take(`,`) {
			s.want(`]`)
			return
		}
	}
}

// decimal takes a number with sign, fraction and exponent, as JSON writes one.
func (s *plainScanner) decimal() {
	s.take(`-`)
	s.number()
	if s.take(`.`) {
		s.digits()
	}
	if s.take(`e`) || s.take(`E`) {
		if !s.take(`+`) {
			s.take(`-`)
		}
		s.digits()
	}
}
