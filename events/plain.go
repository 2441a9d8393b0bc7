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
// whatever is out of bounds or not what the subject says. The evidence is a part of body, and the tags are shared with what
// the decoder read before.
func decodePlain(named *Event, body []byte, by *Decoder) (Recorded, bool) {
	if len(body) > BodyMax || named.Kind == Planned {
		return Recorded{}, false
	}
	rec := Recorded{Event: *named}
	s := plainScanner{body: body, by: by}
	s.attributes(&rec.Event)
	s.data(&rec.Event)
	if s.bad || s.at < len(body) || len(rec.Evidence) > EvidenceMax || validateClaim(&rec.Event) != nil {
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
	by   *Decoder
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
	if s.take(`,"tags":{`) {
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
	if end := plainString(s.body, s.at); end > 0 && !s.bad {
		text := s.body[s.at : end-1]
		s.at = end
		return text
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
	end := plainDigits(s.body, s.at)
	if end < 0 || s.bad || s.body[s.at] == '0' && end > s.at+1 {
		s.bad = true
		return nil
	}
	number := s.body[s.at:end]
	s.at = end
	return number
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

// tags takes the members of an object of strings, after its opening brace, of which there must be one.
func (s *plainScanner) tags() map[string]string {
	end := plainList(s.body, s.at, plainDepth, '}')
	if end < 0 || s.bad {
		s.bad = true
		return nil
	}
	written := s.body[s.at:end]
	s.at = end
	if known, ok := s.by.find(written); ok {
		return known
	}
	tags, ok := plainTags(written)
	if !ok || ValidateTags(tags) != nil {
		s.bad = true
		return nil
	}
	s.by.keep(written, tags)
	return tags
}

// plainTags reads the members of an object and its end, and reports false where they are not strings, or there is none.
func plainTags(written []byte) (tags map[string]string, ok bool) {
	tags = make(map[string]string, 4) // most nodes have fewer
	s := plainScanner{body: written}
	for more := true; more; more = s.take(`,`) {
		s.want(`"`)
		key := s.text()
		s.want(`:"`)
		tags[string(key)] = string(s.text())
	}
	s.want(`}`)
	return tags, !s.bad
}

// object takes a JSON object without white space, whatever is in it.
func (s *plainScanner) object() {
	if s.at < len(s.body) && s.body[s.at] == '{' {
		s.value()
	} else {
		s.bad = true
	}
}

// value takes any JSON value of at most plainDepth levels.
func (s *plainScanner) value() {
	if end := plainValue(s.body, s.at, plainDepth); end > 0 && !s.bad {
		s.at = end
	} else {
		s.bad = true
	}
}
