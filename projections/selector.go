package projections

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// SelectorMax is the longest tag expression, in bytes.
const SelectorMax = 4096

// ErrSelector says that a text is no tag expression. A *SelectorError matches it and says where.
var ErrSelector = errors.New("not a tag expression")

// SelectorError says what is wrong with a tag expression, and where.
type SelectorError struct {
	Text string // the expression
	At   int    // the character, from 1, at which it goes wrong
	Why  string
}

func (e *SelectorError) Error() string {
	return fmt.Sprintf("%v: %.120q, at character %d: %s", ErrSelector, e.Text, e.At, e.Why)
}

// Is reports whether target is ErrSelector.
func (e *SelectorError) Is(target error) bool { return target == ErrSelector }

// Selector chooses nodes by their tags. The zero value chooses all of them.
//
//	role                   the tag is there, whatever its value
//	role=worker            the tag has exactly this value
//	zone in (a, b)         the tag has one of these values
//	version^=2.            the tag's value begins with this
//	!draining              not: an exclamation mark before any of the above; role!=worker is short for !role=worker
//	role=worker, !draining all of them: a comma is "and"
//
// A tag that is not there has no value: it fails every test but a negated one. Blanks around words mean nothing. A value
// goes on to the next comma, or in a list to the next comma or bracket; a key ends at a blank or one of = ! ^ , ( ). What
// contains such a character is written in double quotes, in which \" is a quote and \\ a backslash.
type Selector struct{ terms []term }

type operator uint8

const (
	exists operator = iota
	equals
	begins
	within
)

// term is one test of one tag.
type term struct {
	not    bool
	key    string
	op     operator
	values []string // one, or for within at least one
}

// ParseSelector reads tag expressions, all of which must hold. It fails with a *SelectorError.
func ParseSelector(texts ...string) (Selector, error) {
	var s Selector
	for _, text := range texts {
		p := &selectorParser{text: text}
		if len(text) > SelectorMax {
			return Selector{}, p.fail(0, fmt.Sprintf("it is %d bytes long, at most %d are read", len(text), SelectorMax))
		}
		if valid := strings.ToValidUTF8(text, ""); valid != text {
			return Selector{}, p.fail(commonPrefix(text, valid), "it is not UTF-8")
		}
		terms, err := p.terms()
		if err != nil {
			return Selector{}, err
		}
		s.terms = append(s.terms, terms...)
	}
	return s, nil
}

// Match reports whether a node with these tags is chosen.
func (s Selector) Match(tags map[string]string) bool {
	for i := range s.terms {
		if s.terms[i].holds(tags) == s.terms[i].not {
			return false
		}
	}
	return true
}

func (t *term) holds(tags map[string]string) bool {
	value, there := tags[t.key]
	switch {
	case !there:
		return false
	case t.op == equals:
		return value == t.values[0]
	case t.op == begins:
		return strings.HasPrefix(value, t.values[0])
	case t.op == within:
		return slices.Contains(t.values, value)
	default:
		return true
	}
}

// String returns an expression that reads as s; equal selectors that were written differently give equal texts, except for
// the order of terms and values. It is empty for the zero value.
func (s Selector) String() string {
	var out strings.Builder
	for i, t := range s.terms {
		if i > 0 {
			out.WriteByte(',')
		}
		if t.not {
			out.WriteByte('!')
		}
		out.WriteString(quoteUnlessPlain(t.key))
		switch t.op {
		case equals:
			out.WriteString("=" + quoteUnlessPlain(t.values[0]))
		case begins:
			out.WriteString("^=" + quoteUnlessPlain(t.values[0]))
		case within:
			quoted := make([]string, len(t.values))
			for i, v := range t.values {
				quoted[i] = quoteUnlessPlain(v)
			}
			out.WriteString(" in (" + strings.Join(quoted, ",") + ")")
		}
	}
	return out.String()
}

// quoteUnlessPlain writes a word so that it reads as itself wherever it stands.
func quoteUnlessPlain(word string) string {
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return blank(r) || strings.ContainsRune(`=!^,()"\`, r) }) {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}

func blank(r rune) bool { return r == ' ' || r == '\t' }

// selectorParser reads one expression from its beginning to its end.
type selectorParser struct {
	text string
	at   int // byte of text
}

func (p *selectorParser) fail(at int, why string) error {
	return &SelectorError{Text: p.text, At: utf8.RuneCountInString(p.text[:at]) + 1, Why: why}
}

func commonPrefix(a, b string) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func (p *selectorParser) skipBlanks() {
	for p.at < len(p.text) && blank(rune(p.text[p.at])) {
		p.at++
	}
}

// take moves over a literal and the blanks before it, if it comes next.
func (p *selectorParser) take(literal string) bool {
	p.skipBlanks()
	if !strings.HasPrefix(p.text[p.at:], literal) {
		return false
	}
	p.at += len(literal)
	return true
}

func (p *selectorParser) atEnd() bool {
	p.skipBlanks()
	return p.at == len(p.text)
}

func (p *selectorParser) terms() (list []term, err error) {
	for {
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		list = append(list, t)
		if p.atEnd() {
			return list, nil
		}
		if !p.take(",") {
			return nil, p.fail(p.at, "want a comma or the end")
		}
	}
}

func (p *selectorParser) term() (t term, err error) {
	t.not = p.take("!")
	p.skipBlanks()
	keyAt := p.at
	if t.key, err = p.word("=!^,() \t"); err != nil {
		return t, err
	}
	if t.key == "" {
		return t, p.fail(keyAt, "want the key of a tag, as in role=worker, zone in (a,b), version^=2. or !draining")
	}
	switch {
	case p.take("^="):
		t.op = begins
	case p.take("!="):
		t.op, t.not = equals, !t.not
	case p.take("="):
		t.op = equals
	case p.takeIn():
		t.op = within
		t.values, err = p.list()
		return t, err
	default:
		return t, nil
	}
	value, err := p.word(",")
	t.values = []string{value}
	return t, err
}

// takeIn moves over the word in with the bracket that opens its list.
func (p *selectorParser) takeIn() bool {
	start := p.at
	if p.take("in") && p.take("(") {
		return true
	}
	p.at = start
	return false
}

// list reads values up to the bracket that closes them.
func (p *selectorParser) list() (values []string, err error) {
	for {
		value, err := p.word(",)")
		if err != nil {
			return nil, err
		}
		values = append(values, value)
		switch {
		case p.take(")"):
			return values, nil
		case !p.take(","):
			return nil, p.fail(p.at, "want a comma or the ) that ends the list")
		}
	}
}

// word reads up to one of the bytes in ends or the end of the text, without the blanks around it; or what is in quotes.
func (p *selectorParser) word(ends string) (string, error) {
	if p.take(`"`) {
		return p.quoted(p.at - 1)
	}
	start := p.at
	if n := strings.IndexAny(p.text[start:], ends); n >= 0 {
		p.at += n
	} else {
		p.at = len(p.text)
	}
	word := p.text[start:p.at]
	if n := strings.IndexByte(word, '"'); n >= 0 {
		return "", p.fail(start+n, `a quote in a word: put all of it in quotes, and write \" for the quote`)
	}
	return strings.TrimRight(word, " \t"), nil
}

func (p *selectorParser) quoted(opened int) (string, error) {
	var out strings.Builder
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return out.String(), nil
		case c == '\\' && p.at < len(p.text) && (p.text[p.at] == '"' || p.text[p.at] == '\\'):
			out.WriteByte(p.text[p.at])
			p.at++
		case c == '\\':
			return "", p.fail(p.at-1, `a backslash in quotes stands before " or \`)
		default:
			out.WriteByte(c)
		}
	}
	return "", p.fail(opened, "the quotes are not closed")
}
