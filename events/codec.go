package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// ContentType is the header of a body made by [Encode]: CloudEvents 1.0 as JSON, structured mode.
const ContentType = "application/cloudevents+json"

const (
	specVersion     = "1.0"
	dataContentType = "application/json"
	nodeTypePrefix  = "rollcall.node."
	groupTypePrefix = "rollcall.group."
	typeSuffix      = "." + string(current)
)

// envelope is a body as it is written.
type envelope struct {
	attributes
	Data *payload `json:"data"`
}

// attributes of a body, in the order they are written.
type attributes struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	TraceParent     string    `json:"traceparent,omitempty"`
}

// payload is the data of a body, in the version that is written.
type payload struct {
	Cluster     string            `json:"cluster"`
	Node        string            `json:"node,omitempty"`
	Group       string            `json:"group,omitempty"`
	Author      string            `json:"author"`
	Incarnation uint64            `json:"incarnation,omitempty"`
	Address     string            `json:"address,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Plan        *Plan             `json:"plan,omitempty"`
	Evidence    json.RawMessage   `json:"evidence,omitempty"`
}

// NewID returns a new event id, a UUIDv7: ids made by one process sort in the order they were made.
func NewID() string {
	id, err := uuid.NewV7()
	if err != nil {
		panic(fmt.Sprintf("events: no randomness for an event id: %v", err)) // crypto/rand does not fail on a sane system
	}
	return id.String()
}

// Encode returns the body of ev: CloudEvents 1.0 JSON in structured mode, at most [BodyMax] bytes, the same bytes for
// the same event. An event that its author may not say, or that breaks a bound, is refused with [ErrInvalid].
func Encode(ev Event) ([]byte, error) {
	if err := validate(&ev); err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // the log is read by people too, and is not put into a page as it is
	err := enc.Encode(envelope{
		attributes: attributes{
			SpecVersion:     specVersion,
			ID:              ev.ID,
			Source:          source(ev.Cluster, ev.Author),
			Type:            Type(ev.Kind),
			Subject:         ev.about(),
			Time:            ev.Time.UTC(),
			DataContentType: dataContentType,
			TraceParent:     ev.TraceParent,
		},
		Data: &payload{
			Cluster: ev.Cluster, Node: ev.Node, Group: ev.Group, Author: ev.Author, Incarnation: ev.Incarnation,
			Address: ev.Address, Tags: ev.Tags, Plan: ev.Plan, Evidence: ev.Evidence,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: event %s: %w", ErrInvalid, ev.ID, err)
	}
	body := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	if len(body) > BodyMax {
		return nil, fmt.Errorf("%w: event %s: body of %d bytes, at most %d", ErrInvalid, ev.ID, len(body), BodyMax)
	}
	return body, nil
}

// Decode reads a body found under subject. Position and Stored are left to the caller, who has them from the log.
//
// It fails with [ErrUnknownKind] when the subject or the type names a kind or a version that this reader does not know,
// and with [ErrInvalid] for everything that Encode would not have made.
// Attributes and fields unknown to version 1 are passed over. What subject and body disagree about is the subject's, and
// Mismatch says so. Who may say what is not looked at here: the [Roll] refuses what was not the author's to say.
// The result does not share body.
func Decode(subject string, body []byte) (Recorded, error) {
	rec, err := (*Decoder)(nil).Decode(subject, body)
	rec.Evidence = bytes.Clone(rec.Evidence)
	return rec, err
}

// decodeAny reads every body that is good, and says what is wrong with the others. It is what [Decode] means.
func decodeAny(named *Event, body []byte) (Recorded, error) {
	env, said, err := parseEnvelope(body)
	if err != nil {
		return Recorded{}, err
	}
	rec := Recorded{Event: Event{
		ID: env.ID, Kind: said, Cluster: named.Cluster, Node: named.Node, Group: named.Group, Author: named.Author,
		Time: env.Time.UTC(), Incarnation: env.Data.Incarnation, Address: env.Data.Address, Tags: env.Data.Tags,
		Plan: env.Data.Plan, Evidence: env.Data.Evidence,
	}}
	if string(rec.Evidence) == "null" {
		rec.Evidence = nil
	}
	if validTraceParent(env.TraceParent) {
		rec.TraceParent = env.TraceParent // a broken one is no trace, as W3C has it, and no reason to lose the event
	}
	if err := validateContent(&rec.Event); err != nil { // by the kind that the body was written as
		return Recorded{}, err
	}
	rec.Kind = named.Kind
	rec.Mismatch = mismatch(&env, said, &rec.Event)
	return rec, nil
}

// parseEnvelope reads and checks the attributes that say how to read the data, and then the data. It returns what kind the
// body says it is of.
func parseEnvelope(body []byte) (envelope, Kind, error) {
	fail := func(err error) (envelope, Kind, error) { return envelope{}, "", err }
	if len(body) > BodyMax {
		return fail(fmt.Errorf("%w: body of %d bytes, at most %d", ErrInvalid, len(body), BodyMax))
	}
	var got struct {
		attributes
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		// A newer version may well have changed the shape: what it calls itself counts before that it does not fit.
		var head struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(body, &head) == nil && head.Type != "" {
			if _, _, ok := parseType(head.Type); !ok {
				return fail(fmt.Errorf("type %.128q: %w", head.Type, ErrUnknownKind))
			}
		}
		return fail(fmt.Errorf("%w: body: %w", ErrInvalid, err))
	}
	switch {
	case got.SpecVersion != specVersion:
		return fail(fmt.Errorf("%w: specversion %.16q, want %s", ErrInvalid, got.SpecVersion, specVersion))
	case got.Type == "":
		return fail(fmt.Errorf("%w: no type", ErrInvalid))
	case got.DataContentType != "" && got.DataContentType != dataContentType:
		return fail(fmt.Errorf("%w: datacontenttype %.64q, want %s", ErrInvalid, got.DataContentType, dataContentType))
	case len(got.Data) == 0 || string(got.Data) == "null":
		return fail(fmt.Errorf("%w: no data", ErrInvalid))
	}
	said, read, ok := parseType(got.Type)
	if !ok {
		return fail(fmt.Errorf("type %.128q: %w", got.Type, ErrUnknownKind))
	}
	data, err := read(got.Data)
	if err != nil {
		return fail(fmt.Errorf("%w: data: %w", ErrInvalid, err))
	}
	return envelope{attributes: got.attributes, Data: &data}, said, nil
}

// Type is the CloudEvents type of events of kind k: rollcall.node.<kind>.v1, or rollcall.group.<kind>.v1.
func Type(k Kind) string {
	if k.OfGroup() {
		return groupTypePrefix + string(k) + typeSuffix
	}
	return nodeTypePrefix + string(k) + typeSuffix
}

// parseType reads what [Type] makes, in this version or one before, and returns what reads its data.
func parseType(s string) (Kind, reader, bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", nil, false
	}
	read := readers[version(s[i+1:])]
	if name, ok := strings.CutPrefix(s[:i], groupTypePrefix); ok {
		return Kind(name), read, read != nil && Kind(name).OfGroup()
	}
	name, prefixed := strings.CutPrefix(s[:i], nodeTypePrefix)
	return Kind(name), read, prefixed && read != nil && !Kind(name).OfGroup() && Kind(name).Valid()
}

// about is the node or the group that ev is about.
func (ev *Event) about() string {
	if ev.Group != "" {
		return ev.Group
	}
	return ev.Node
}

func source(cluster, author string) string { return "/rollcall/" + cluster + "/" + author }

// mismatch names the first thing that the body says otherwise than the subject, whose word ev holds; empty when they agree.
func mismatch(env *envelope, said Kind, ev *Event) string {
	differs := func(what, body, subject string) string {
		return fmt.Sprintf("%s: body says %.80q, subject says %q", what, body, subject)
	}
	switch {
	case said != ev.Kind:
		return differs("type", string(said), string(ev.Kind))
	case env.Data.Cluster != ev.Cluster:
		return differs("cluster", env.Data.Cluster, ev.Cluster)
	case env.Data.Node != ev.Node:
		return differs("node", env.Data.Node, ev.Node)
	case env.Data.Group != ev.Group:
		return differs("group", env.Data.Group, ev.Group)
	case env.Data.Author != ev.Author:
		return differs("author", env.Data.Author, ev.Author)
	case env.Subject != ev.about():
		return differs("subject attribute", env.Subject, ev.about())
	case !sourceIs(env.Source, ev.Cluster, ev.Author):
		return differs("source", env.Source, source(ev.Cluster, ev.Author))
	default:
		return ""
	}
}

// sourceIs is s == source(cluster, author) without making the string.
func sourceIs(s, cluster, author string) bool {
	s, ok := strings.CutPrefix(s, "/rollcall/")
	c, a, cut := strings.Cut(s, "/")
	return ok && cut && c == cluster && a == author
}
