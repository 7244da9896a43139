package binance

// members walks through the members of a JSON object without decoding them,
// which is several times as fast as encoding/json and tells "t" from "T". The
// text must have been found to be valid JSON.
type members struct {
	rest  []byte
	key   []byte // with its quotes, as is a value that is a string
	value []byte
}

// membersOf returns the members of an object, none of any other value.
func membersOf(value []byte) members {
	if len(value) == 0 || value[0] != '{' {
		return members{}
	}
	return members{rest: value[1:]}
}

// next moves to the next member and reports whether there is one.
func (m *members) next() bool {
	m.key = m.take()
	m.value = m.take()
	return m.value != nil
}

// take returns the value that comes next, nil at the end of the object.
func (m *members) take() []byte {
	for len(m.rest) > 0 && separates(m.rest[0]) {
		m.rest = m.rest[1:]
	}
	if len(m.rest) == 0 || m.rest[0] == '}' {
		return nil
	}
	length := valueLength(m.rest)
	value := m.rest[:length]
	m.rest = m.rest[length:]
	return value
}

// separates reports whether a byte stands between two values.
func separates(c byte) bool {
	return c == ',' || c == ':' || c == ' ' || c == '\t' || c == '\r' || c == '\n'
}

// valueLength returns how long the value is that text begins with.
func valueLength(text []byte) int {
	depth := 0
	for k := 0; k < len(text); k++ {
		switch text[k] {
		case '"':
			k += stringLength(text[k:]) - 1
			if depth == 0 {
				return k + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return k // the end of what a number or a word stands in
			}
			if depth--; depth == 0 {
				return k + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return k
			}
		}
	}
	return len(text)
}

// stringLength returns the length, quotes included, of the string that text
// begins with.
func stringLength(text []byte) int {
	for k := 1; k < len(text); k++ {
		switch text[k] {
		case '\\':
			k++
		case '"':
			return k + 1
		}
	}
	return len(text)
}

// unquoted returns what stands between the quotes of a JSON string, escapes
// included, nil for any other value.
func unquoted(value []byte) []byte {
	if len(value) < len(`""`) || value[0] != '"' {
		return nil
	}
	return value[1 : len(value)-1]
}
