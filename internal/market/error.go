package market

import (
	"errors"
	"fmt"
)

// Code says what kind of failure an error is. Delivery maps it to a status in
// one place; nothing else decides by an error's text.
type Code string

// The codes of every error that leaves the domain. Internal is what an error
// without a code counts as.
const (
	Invalid      Code = "invalid"      // the caller can mend the input
	NotFound     Code = "not_found"    // what was named does not exist
	Conflict     Code = "conflict"     // it clashes with what is stored
	Unauthorized Code = "unauthorized" // nobody says who the caller is, or not truly
	Forbidden    Code = "forbidden"    // it is refused, and asking again will not help
	Throttled    Code = "throttled"    // it was tried too often, and may be again later
	Unavailable  Code = "unavailable"  // it cannot be answered now, later perhaps
	Internal     Code = "internal"     // a fault of ours; the text is for logs only
)

// Error is a failure whose Message may be shown to whoever caused it.
type Error struct {
	Code    Code
	Message string
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Errorf makes an Error. It does not wrap: what is internal must not reach a
// client by way of a message.
func Errorf(code Code, format string, arguments ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, arguments...)}
}

// ErrorCode returns the code of the first Error in err's chain, Internal for
// any other error and "" for nil.
func ErrorCode(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// ErrorMessage returns what may be shown to a client: the message of the first
// Error in err's chain, or a fixed sentence where there is none.
func ErrorMessage(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Code != Internal {
		return e.Message
	}
	return "internal error"
}
