package containerrecreaterequest

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// longestMessage is a little less than what the schema takes; leastMessage is what is left of that of one container of many.
const longestMessage, leastMessage = 1000, 200

func short(message string) string { return beginning(message, longestMessage) }

// beginning is that of a message, of what can be printed, and as JSON not longer than most and an ellipsis; of what it returned, it is
// the same. Some of it is what a hook printed.
func beginning(message string, most int) string {
	message = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(message, ""))
	size, fits := 0, 0
	for i, r := range message {
		if size <= most {
			fits = i
		}
		if size += encoded(r); size > most+len("…") {
			return message[:fits] + "…"
		}
	}
	return message
}

// encoded is how many bytes JSON takes for what can be printed.
func encoded(r rune) int {
	switch r {
	case '"', '\\':
		return len(`\\`)
	case '<', '>', '&':
		return len(`\u0000`)
	}
	return utf8.RuneLen(r)
}
