package events

// Decoder is [Decode] for who reads many events, and is given each body for good: nobody writes to it any more, and Evidence may be
// a part of it. Events with the same tags share them, as far as the decoder remembers, which is bounded. The zero value is
// ready to use, and a nil one remembers nothing. It is not safe for concurrent use.
type Decoder struct {
	// Tags by how they are written: nodes say the same again and again, and many nodes say the same. Once the younger half is full, it
	// becomes the older one, and what was in that and not asked for since is forgotten.
	young, old map[string]map[string]string
}

const (
	// tagSetsMax is how many sets of tags are held, in two halves.
	tagSetsMax = 2048

	// tagsWrittenMax is how long tags can be that say each key once: quotes, a colon and a comma or the brace come with each.
	tagsWrittenMax = TagsTotalMax + 6*TagsMax
)

// Decode reads a body found under subject.
func (d *Decoder) Decode(subject string, body []byte) (Recorded, error) {
	named, err := ParseSubject(subject)
	if err != nil {
		return Recorded{}, err
	}
	if rec, ok := decodePlain(&named, body, d); ok {
		return rec, nil
	}
	return decodeAny(&named, body)
}

func (d *Decoder) find(written []byte) (tags map[string]string, ok bool) {
	if d == nil {
		return nil, false
	}
	if tags, ok = d.young[string(written)]; ok {
		return tags, true
	}
	if tags, ok = d.old[string(written)]; ok {
		d.keep(written, tags)
	}
	return tags, ok
}

// keep holds nothing that says the same key twice, which may be as long as a body.
func (d *Decoder) keep(written []byte, tags map[string]string) {
	if d == nil || len(written) > tagsWrittenMax {
		return
	}
	if len(d.young) == tagSetsMax/2 {
		d.young, d.old = nil, d.young
	}
	if d.young == nil {
		d.young = make(map[string]map[string]string)
	}
	d.young[string(written)] = tags
}
