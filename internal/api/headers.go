package api

import (
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// The headers that several answers have, as the OpenAPI document names them.
const (
	requestIDHeader = "X-Request-Id"
	cacheControl    = "Cache-Control"
	etagHeader      = "ETag"
	varyHeader      = "Vary"
	retryAfter      = "Retry-After"
	limitHeader     = "RateLimit-Limit"
	remainingHeader = "RateLimit-Remaining"
	resetHeader     = "RateLimit-Reset"
)

// documentHeaders says in the document which headers answers have that no operation sets
// by itself.
func documentHeaders(document *huma.OpenAPI) {
	text := func() *huma.Schema { return &huma.Schema{Type: huma.TypeString} }
	number := func() *huma.Schema {
		zero := 0.0
		return &huma.Schema{Type: huma.TypeInteger, Minimum: &zero}
	}
	document.Components.Headers = map[string]*huma.Header{
		requestIDHeader: {Schema: text(), Required: true, Description: "The request's id in the service's log: the client's own X-Request-Id where that is 8 to 64 of A-Z a-z 0-9 . _ -, else one that was made for it."},
		cacheControl:    {Schema: text(), Required: true, Description: "For how long the answer holds, and for whom: private to whoever has logged in."},
		etagHeader:      {Schema: text(), Description: "Of the answer's bytes. Give it as If-None-Match to get 304 as long as it holds."},
		varyHeader:      {Schema: text(), Description: "What else the answer depends on."},
		retryAfter:      {Schema: number(), Description: "After how many seconds to try again."},
		limitHeader:     {Schema: number(), Description: "How many requests a caller may make in a minute: a user, or an address without one. Only where the service bounds them."},
		remainingHeader: {Schema: number(), Description: "How many of them are left."},
		resetHeader:     {Schema: number(), Description: "After how many seconds all of them are there again."},
	}
	for path, item := range document.Paths {
		for _, operation := range []*huma.Operation{item.Get, item.Put, item.Post, item.Delete} {
			if operation == nil {
				continue
			}
			for status, response := range operation.Responses {
				names := []string{requestIDHeader, cacheControl, varyHeader}
				switch status {
				case strconv.Itoa(http.StatusOK), strconv.Itoa(http.StatusNotModified):
					if operation.Responses[strconv.Itoa(http.StatusNotModified)] != nil {
						names = append(names, etagHeader)
					}
				case strconv.Itoa(http.StatusTooManyRequests):
					names = append(names, retryAfter)
				}
				if isLimited(path) {
					names = append(names, limitHeader, remainingHeader, resetHeader)
				}
				refer(response, names)
			}
		}
	}
}

func refer(response *huma.Response, names []string) {
	if response.Headers == nil {
		response.Headers = map[string]*huma.Param{}
	}
	for _, name := range names {
		response.Headers[name] = &huma.Param{Ref: "#/components/headers/" + name}
	}
}
