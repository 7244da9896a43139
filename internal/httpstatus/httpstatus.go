// Package httpstatus is the one place where a domain error becomes an HTTP status, for
// the API and the pages alike.
package httpstatus

import (
	"net/http"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// ByCode has the status of every code.
var ByCode = map[market.Code]int{
	market.Invalid:      http.StatusUnprocessableEntity,
	market.NotFound:     http.StatusNotFound,
	market.Conflict:     http.StatusConflict,
	market.Unauthorized: http.StatusUnauthorized,
	market.Forbidden:    http.StatusForbidden,
	market.Throttled:    http.StatusTooManyRequests,
	market.Unavailable:  http.StatusServiceUnavailable,
	market.Internal:     http.StatusInternalServerError,
}

// Of returns the status of an error.
func Of(err error) int { return ByCode[market.ErrorCode(err)] }
