package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of one event, in bytes where no unit is named. A log refuses what exceeds them; a reader never holds more.
const (
	BodyMax      = 64 << 10 // an encoded event
	EvidenceMax  = 16 << 10 // the evidence object in it
	AddressMax   = 259      // a host name of 253, a colon and a port
	TagsMax      = 32       // tags of a node, counted
	TagKeyMax    = 64       // a tag's key, at least 1
	TagValueMax  = 256      // a tag's value
	TagsTotalMax = 512      // all keys and values of a node: tags travel with the gossip, in packets
)

// yearMax is the last year that RFC 3339 can write, 0 the first.
const yearMax = 9999

// Events are from timeMin on, and before timeMax. In another zone an instant of either year may look like one of another year.
var (
	timeMin = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	timeMax = time.Date(yearMax+1, 1, 1, 0, 0, 0, 0, time.UTC)
)

// ErrInvalid says that something is not a well-formed event, or not its author's to say. Nothing was stored; the same
// thing will be refused again.
var ErrInvalid = errors.New("invalid event")

// ValidateTags reports whether a node may carry tags: at most [TagsMax], keys of 1 to [TagKeyMax] and values of at most
// [TagValueMax] bytes of UTF-8, [TagsTotalMax] bytes in all. The error names the tag and the bound and is an [ErrInvalid].
func ValidateTags(tags map[string]string) error {
	if len(tags) > TagsMax {
		return fmt.Errorf("%w: %d tags, at most %d", ErrInvalid, len(tags), TagsMax)
	}
	total := 0
	for k, v := range tags {
		switch {
		case k == "":
			return fmt.Errorf("%w: a tag without a key", ErrInvalid)
		case len(k) > TagKeyMax:
			return fmt.Errorf("%w: tag %.80q: key of %d bytes, at most %d", ErrInvalid, k, len(k), TagKeyMax)
		case len(v) > TagValueMax:
			return fmt.Errorf("%w: tag %q: value of %d bytes, at most %d", ErrInvalid, k, len(v), TagValueMax)
		case !utf8.ValidString(k) || !utf8.ValidString(v):
			return fmt.Errorf("%w: tag %q: not UTF-8", ErrInvalid, k)
		}
		total += len(k) + len(v)
	}
	if total > TagsTotalMax {
		return fmt.Errorf("%w: tags of %d bytes in all, at most %d", ErrInvalid, total, TagsTotalMax)
	}
	return nil
}

// ValidateAddress reports whether s is host:port with a host name, an IPv4 address or an IPv6 address in brackets, and
// a port of 1 to 65535. The error is an [ErrInvalid].
func ValidateAddress(s string) error {
	fail := func(why string) error { return fmt.Errorf("%w: address %.300q: %s", ErrInvalid, s, why) }
	if len(s) > AddressMax {
		return fail("too long")
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return fail("want host:port")
	}
	host, port := s[:i], s[i+1:]
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fail("port is not 1 to 65535")
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		if ip, err := netip.ParseAddr(inner); !ok || err != nil || !ip.Is6() {
			return fail("no IPv6 address in the brackets")
		}
		return nil
	}
	if host == "" || strings.ContainsFunc(host, notHostname) {
		return fail("want a host name, an IPv4 address or a bracketed IPv6 address")
	}
	return nil
}

func notHostname(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '.', r == '_':
		return false
	default:
		return true
	}
}

// validate checks everything that [Encode] promises: who speaks about whom, then what is said.
func validate(ev *Event) error {
	switch {
	case !ev.Kind.Valid():
		return fmt.Errorf("%w: kind %.64q is not in the vocabulary", ErrInvalid, ev.Kind)
	case !ValidID(ev.Cluster):
		return fmt.Errorf("%w: cluster %.80q is not an id (1 to %d of A-Z a-z 0-9 _ -)", ErrInvalid, ev.Cluster, IDMax)
	case ev.Kind.OfGroup() && ev.Node != "" || !ev.Kind.OfGroup() && ev.Group != "":
		return fmt.Errorf("%w: %s of node %.80q and group %.80q: it is of one of them", ErrInvalid, ev.Kind, ev.Node, ev.Group)
	case !ValidID(ev.about()):
		return fmt.Errorf("%w: node or group %.80q is not an id (1 to %d of A-Z a-z 0-9 _ -)", ErrInvalid, ev.about(), IDMax)
	case !ValidID(ev.Author):
		return fmt.Errorf("%w: author %.80q is not an id (1 to %d of A-Z a-z 0-9 _ -)", ErrInvalid, ev.Author, IDMax)
	case ev.TraceParent != "" && !validTraceParent(ev.TraceParent):
		return fmt.Errorf("%w: traceparent %.80q is not W3C trace context", ErrInvalid, ev.TraceParent)
	case ev.Kind.OfGroup(): // whether its author directs the group, the fold knows
	case ev.Kind.ByOwner() && ev.Author != ev.Node:
		return fmt.Errorf("%w: %s of %s by %s: only the node itself may say this", ErrInvalid, ev.Kind, ev.Node, ev.Author)
	case !ev.Kind.ByOwner() && ev.Author == ev.Node:
		return fmt.Errorf("%w: %s of %s by itself: only another member may say this", ErrInvalid, ev.Kind, ev.Node)
	}
	return validateContent(ev)
}

// validateContent checks what an event says, whoever says it about whom.
func validateContent(ev *Event) error {
	if err := validateClaim(ev); err != nil {
		return err
	}
	if err := ValidateTags(ev.Tags); err != nil {
		return err
	}
	switch {
	case ev.Kind == Planned:
		if err := validatePlan(ev.Plan); err != nil {
			return fmt.Errorf("event %s: %w", ev.ID, err)
		}
	case ev.Plan != nil:
		return fmt.Errorf("%w: event %s: %s carries a plan", ErrInvalid, ev.ID, ev.Kind)
	}
	return validateEvidence(ev.Evidence)
}

// validateClaim is validateContent but for what tags, plan and evidence are made of.
func validateClaim(ev *Event) error {
	switch {
	case !validUUID(ev.ID):
		return fmt.Errorf("%w: id %.80q is not a UUID in lower case", ErrInvalid, ev.ID)
	case ev.Time.IsZero():
		return fmt.Errorf("%w: event %s: no time", ErrInvalid, ev.ID)
	case ev.Time.Before(timeMin) || !ev.Time.Before(timeMax):
		return fmt.Errorf("%w: event %s: year %d in UTC, want 0 to %d", ErrInvalid, ev.ID, ev.Time.UTC().Year(), yearMax)
	case (ev.Incarnation == 0) != ev.Kind.OfGroup():
		return fmt.Errorf("%w: event %s: incarnation %d: of a node the first is 1, a group has none", ErrInvalid, ev.ID, ev.Incarnation)
	case !ev.Kind.ByOwner() && (ev.Address != "" || len(ev.Tags) > 0):
		return fmt.Errorf("%w: event %s: %s carries an address or tags, which only the node itself may say",
			ErrInvalid, ev.ID, ev.Kind)
	case ev.Kind == Joined && ev.Address == "":
		return fmt.Errorf("%w: event %s: joined without an address", ErrInvalid, ev.ID)
	}
	if ev.Address != "" {
		return ValidateAddress(ev.Address)
	}
	return nil
}

// validateEvidence leaves the syntax to encoding/json, which reads every body and checks what it writes.
func validateEvidence(raw json.RawMessage) error {
	switch {
	case len(raw) == 0:
		return nil
	case len(raw) > EvidenceMax:
		return fmt.Errorf("%w: evidence of %d bytes, at most %d", ErrInvalid, len(raw), EvidenceMax)
	case !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")):
		return fmt.Errorf("%w: evidence is not a JSON object", ErrInvalid)
	case !utf8.Valid(raw):
		return fmt.Errorf("%w: evidence is not UTF-8", ErrInvalid)
	}
	return nil
}

// validUUID wants the one canonical writing, so that equal ids are equal strings.
func validUUID(s string) bool {
	return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' &&
		lowerHex(s[:8]) && lowerHex(s[9:13]) && lowerHex(s[14:18]) && lowerHex(s[19:23]) && lowerHex(s[24:])
}

// validTraceParent reports whether s is version 00 of W3C trace context: 00-<32 hex>-<16 hex>-<2 hex>.
func validTraceParent(s string) bool {
	return len(s) == 55 && s[:3] == "00-" && s[35] == '-' && s[52] == '-' &&
		lowerHex(s[3:35]) && lowerHex(s[36:52]) && lowerHex(s[53:])
}

// lowerHex reports whether s has nothing but 0-9 and a-f.
func lowerHex(s string) bool {
	for i := range len(s) {
		if !hexByte[s[i]] {
			return false
		}
	}
	return true
}

// hexByte holds the bytes of a hexadecimal number in lower case. An id is looked at for every event that is read.
var hexByte = func() (table [256]bool) {
	for _, c := range []byte("0123456789abcdef") {
		table[c] = true
	}
	return table
}()
