package inject

import "unicode/utf8"

// appendQuoted writes text as a JSON string. What is not UTF-8 becomes U+FFFD, as JSON has no way to say it.
func appendQuoted(buf, text []byte) []byte {
	const hex = "0123456789abcdef"
	buf = append(buf, '"')
	for len(text) > 0 {
		b := text[0]
		switch {
		case b == '"' || b == '\\':
			buf = append(buf, '\\', b)
		case b < ' ':
			buf = append(buf, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
		case b >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(text)
			buf = utf8.AppendRune(buf, r)
			text = text[n:]
			continue
		default:
			buf = append(buf, b)
		}
		text = text[1:]
	}
	return append(buf, '"')
}
