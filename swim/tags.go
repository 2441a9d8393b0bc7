package swim

import (
	"errors"
	"fmt"
	"sort"
)

// Bounds of a member's tags. They ride in datagrams, so they are small.
const (
	TagsMax      = 32  // tags a member
	TagKeyMax    = 64  // bytes of a key
	TagValueMax  = 256 // bytes of a value
	TagsBytesMax = 512 // bytes of all keys and values together
)

// NewTags makes Tags from a map. The result may still be invalid; see [Tags.Validate].
func NewTags(m map[string]string) Tags {
	if len(m) == 0 {
		return nil
	}
	t := make(Tags, 0, len(m))
	for k, v := range m {
		t = append(t, Tag{k, v})
	}
	sort.Slice(t, func(i, j int) bool { return t[i].Key < t[j].Key })
	return t
}

// Map returns the tags as a new map; nil when there are none.
func (t Tags) Map() map[string]string {
	if len(t) == 0 {
		return nil
	}
	m := make(map[string]string, len(t))
	for _, tag := range t {
		m[tag.Key] = tag.Value
	}
	return m
}

// Get returns the value of key.
func (t Tags) Get(key string) (string, bool) {
	for _, tag := range t {
		if tag.Key == key {
			return tag.Value, true
		}
	}
	return "", false
}

// Equal reports whether both hold the same tags.
func (t Tags) Equal(o Tags) bool {
	if len(t) != len(o) {
		return false
	}
	for i := range t {
		if t[i] != o[i] {
			return false
		}
	}
	return true
}

// Validate reports the first rule that t breaks.
func (t Tags) Validate() error {
	if len(t) > TagsMax {
		return fmt.Errorf("%d tags: at most %d", len(t), TagsMax)
	}
	total := 0
	for i, tag := range t {
		if tag.Key == "" || len(tag.Key) > TagKeyMax {
			return fmt.Errorf("key %q: want 1 to %d bytes", tag.Key, TagKeyMax)
		}
		if len(tag.Value) > TagValueMax {
			return fmt.Errorf("value of %q has %d bytes: at most %d", tag.Key, len(tag.Value), TagValueMax)
		}
		if i > 0 && t[i-1].Key >= tag.Key {
			return errors.New("keys must rise, each once")
		}
		total += len(tag.Key) + len(tag.Value)
	}
	if total > TagsBytesMax {
		return fmt.Errorf("%d bytes in all: at most %d", total, TagsBytesMax)
	}
	return nil
}
