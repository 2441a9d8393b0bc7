package jslog

import "strings"

// place is what the server says of a message that a consumer delivers.
type place struct {
	sequence uint64 // in the stream
	nth      uint64 // of those that the consumer delivered
	stored   int64  // nanoseconds since 1970
	pending  uint64 // how many the consumer has still to deliver
}

// placeOf reads the reply subject of a message, as NATS ADR 15 has it:
//
//	$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<nth>.<time>.<pending>
//	$JS.ACK.<domain>.<account>.<stream>.<consumer>.<deliveries>.<sequence>.<nth>.<time>.<pending>.<anything>
//
// It says what Metadata of nats.go says, and makes nothing: a log is read at hundreds of thousands of messages a second.
func placeOf(reply string) (at place, ok bool) {
	const before, longer = 4, 2 // words before the deliveries, and how many more the second form has
	words := strings.Count(reply, ".") + 1
	skip := before
	switch {
	case !strings.HasPrefix(reply, "$JS.ACK."), words < before+5, words > before+5 && words < before+longer+5:
		return place{}, false
	case words > before+5:
		skip += longer
	}
	for range skip {
		_, reply, _ = strings.Cut(reply, ".")
	}
	var number [5]uint64
	for i := range number {
		var word string
		word, reply, _ = strings.Cut(reply, ".")
		if number[i], ok = parseNumber(word); !ok {
			return place{}, false
		}
	}
	return place{sequence: number[1], nth: number[2], stored: int64(number[3]), pending: number[4]}, true
}

// parseNumber reads a whole number below 2^63.
func parseNumber(word string) (n uint64, ok bool) {
	if word == "" || len(word) > 19 {
		return 0, false
	}
	for i := range len(word) {
		c := word[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = 10*n + uint64(c)
	}
	return n, n < 1<<63
}
