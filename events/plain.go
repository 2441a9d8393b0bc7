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
// whatever is out of bounds or not what the subject says. The evidence is a part of body, and the tags are one of sets, which
// may be nil.
func decodePlain(named *Event, body []byte, sets *tagSets) (Recorded, bool) {
	if len(body) > BodyMax || named.Kind == Planned {
		return Recorded{}, false
	}
	rec := Recorded{Event: *named}
	s := plainScanner{body: body, sets: sets}
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
	sets *tagSets
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

// tags takes the members of an object of strings, after its opening brace, of which there must be one.
func (s *plainScanner) tags() map[string]string {
	from := s.at
	for more := true; more; more = s.take(`,`) {
		s.want(`"`)
		s.text()
		s.want(`:"`)
		s.text()
	}
	s.want(`}`)
	if s.bad {
		return nil
	}
	written := s.body[from:s.at]
	if known, ok := s.sets.find(written); ok {
		return known
	}
	tags := plainTags(written)
	if ValidateTags(tags) != nil {
		s.bad = true
		return nil
	}
	s.sets.keep(written, tags)
	return tags
}

// plainTags is what plainScanner.tags has taken.
func plainTags(written []byte) map[string]string {
	tags := make(map[string]string, 4) // most nodes have fewer
	s := plainScanner{body: written}
	for more := true; more; more = s.take(`,`) {
		s.want(`"`)
		key := s.text()
		s.want(`:"`)
		tags[string(key)] = string(s.text())
	}
	return tags
}

const (
	// tagSetsMax is how many sets of tags are held, in two halves.
	tagSetsMax = 2048

	// tagsWrittenMax is how long tags can be that say each key once: quotes, a colon and a comma or the brace come with each.
	tagsWrittenMax = TagsTotalMax + 6*TagsMax
)

// tagSets holds tags by how they are written: nodes say the same again and again, and many nodes say the same. Once the younger half is
// full, it becomes the older one, and what was in that and not asked for since is forgotten. Nil holds none.
type tagSets struct {
	young, old map[string]map[string]string
}

func (t *tagSets) find(written []byte) (tags map[string]string, ok bool) {
	if t == nil {
		return nil, false
	}
	if tags, ok = t.young[string(written)]; ok {
		return tags, true
	}
	if tags, ok = t.old[string(written)]; ok {
		t.keep(written, tags)
	}
	return tags, ok
}

// keep holds nothing that says the same key twice, which may be as long as a body.
func (t *tagSets) keep(written []byte, tags map[string]string) {
	if t == nil || len(written) > tagsWrittenMax {
		return
	}
	if len(t.young) == tagSetsMax/2 {
		t.young, t.old = nil, t.young
	}
	if t.young == nil {
		t.young = make(map[string]map[string]string)
	}
	t.young[string(written)] = tags
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

// Evidence is most of a body, and nothing is wanted of it but where it ends. These functions return the place behind what begins at i,
// or -1 where it is not plain.

// plainValue goes over any JSON value of at most depth levels.
func plainValue(b []byte, i, depth int) int {
	if depth == 0 || i >= len(b) {
		return -1
	}
	switch b[i] {
	case '{':
		return plainList(b, i+1, depth, '}')
	case '[':
		return plainList(b, i+1, depth, ']')
	case '"':
		return plainString(b, i+1)
	case 't':
		return plainWord(b, i, "true")
	case 'f':
		return plainWord(b, i, "false")
	case 'n':
		return plainWord(b, i, "null")
	}
	return plainNumber(b, i)
}

// plainList goes over what is in an object or an array, and over its end.
func plainList(b []byte, i, depth int, end byte) int {
	if i < len(b) && b[i] == end {
		return i + 1
	}
	for {
		if end == '}' {
			if i >= len(b) || b[i] != '"' {
				return -1
			}
			if i = plainString(b, i+1); i < 0 || i >= len(b) || b[i] != ':' {
				return -1
			}
			i++
		}
		if i = plainValue(b, i, depth-1); i < 0 || i >= len(b) {
			return -1
		}
		switch b[i] {
		case ',':
			i++
		case end:
			return i + 1
		default:
			return -1
		}
	}
}

// plainString goes over a string behind its opening quote.
func plainString(b []byte, i int) int {
	for ; i < len(b); i++ {
		if c := b[i]; c == '"' {
			return i + 1
		} else if !verbatim[c] {
			return -1
		}
	}
	return -1
}

func plainWord(b []byte, i int, word string) int {
	if end := i + len(word); end <= len(b) && string(b[i:end]) == word {
		return end
	}
	return -1
}

// plainNumber goes over a number with sign, fraction and exponent, as JSON writes one.
func plainNumber(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	from := i
	if i = plainDigits(b, i); i < 0 || b[from] == '0' && i > from+1 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = plainDigits(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return plainDigits(b, i)
	}
	return i
}

// plainDigits goes over one digit or more.
func plainDigits(b []byte, i int) int {
	from := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == from {
		return -1
	}
	return i
}
