package events

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
