package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cryptoboat/cryptoboat/internal/httpstatus"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// statuses are the HTTP statuses of domain errors.
var statuses = httpstatus.ByCode

// problem is the body of every failure (RFC 9457). It holds no value that the
// client sent and no text of an internal error.
type problem struct {
	Title     string          `json:"title" doc:"The status in words." example:"Unprocessable Entity"`
	Status    int             `json:"status" doc:"The HTTP status." example:"422"`
	Detail    string          `json:"detail" doc:"What is wrong, and what to do." example:"validation failed"`
	Errors    []problemDetail `json:"errors,omitempty" doc:"Each thing that is wrong with the request."`
	RequestID string          `json:"request_id,omitempty" doc:"The answer's X-Request-Id, under which the service's log has the details."`
}

type problemDetail struct {
	Location string `json:"location" doc:"Where in the request." example:"query.limit"`
	Message  string `json:"message" doc:"What would be accepted." example:"expected number <= 3000"`
}

// Error returns the detail.
func (p *problem) Error() string { return p.Detail }

// GetStatus returns the HTTP status, for Huma.
func (p *problem) GetStatus() int { return p.Status }

// ContentType returns the media type of problems, for Huma.
func (p *problem) ContentType(string) string { return "application/problem+json" }

func newProblem(ctx context.Context, status int, detail string) *problem {
	return &problem{Title: http.StatusText(status), Status: status, Detail: detail, RequestID: requestID(ctx)}
}

// invalid is the problem of a parameter that its schema cannot refuse.
func invalid(ctx context.Context, location, message string) *problem {
	p := newProblem(ctx, statuses[market.Invalid], "validation failed")
	p.Errors = []problemDetail{{Location: location, Message: message}}
	return p
}

// internal is the problem of a fault of ours: the log has its cause, the client
// a request id to quote.
func internal(ctx context.Context) *problem {
	return newProblem(ctx, http.StatusInternalServerError,
		"the service failed; its log has the details under the request id")
}

// problemOf turns an error into what the client may see of it, and logs what it
// may not.
func problemOf(ctx context.Context, err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	switch code := market.ErrorCode(err); {
	case code == market.Unavailable:
		logger(ctx).WarnContext(ctx, "request not answered", "error", err)
		return newProblem(ctx, statuses[code], market.ErrorMessage(err))
	case code != market.Internal:
		return newProblem(ctx, statuses[code], market.ErrorMessage(err))
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		logger(ctx).WarnContext(ctx, "request took too long", "error", err)
		return newProblem(ctx, statuses[market.Unavailable],
			fmt.Sprintf("no answer within %s: ask for less, or again later", operationTimeout))
	case errors.Is(ctx.Err(), context.Canceled):
		// The client went away: nobody reads this, and nothing is at fault.
		return newProblem(ctx, statuses[market.Unavailable], "the request was cancelled")
	default:
		logger(ctx).ErrorContext(ctx, "request failed", "error", err)
		return internal(ctx)
	}
}

// Huma makes its own errors, and finds out what an error looks like, through
// package variables; there is no other way to have it use problem. Its own
// error model repeats what the client sent and what an internal error says.
func init() {
	huma.DefaultArrayNullable = false
	huma.NewError = func(status int, detail string, errs ...error) huma.StatusError {
		return humaProblem(context.Background(), status, detail, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, detail string, errs ...error) huma.StatusError {
		return humaProblem(ctx.Context(), status, detail, errs)
	}
}

func humaProblem(ctx context.Context, status int, detail string, errs []error) *problem {
	// Huma takes the bound of http.MaxBytesHandler for a fault of ours.
	if tooLong, ok := errors.AsType[*http.MaxBytesError](errors.Join(errs...)); ok {
		return newProblem(ctx, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is longer than %d bytes", tooLong.Limit))
	}
	if status >= http.StatusInternalServerError {
		logger(ctx).ErrorContext(ctx, "request failed", "error", errors.Join(errs...), "detail", detail)
		return internal(ctx)
	}
	p := newProblem(ctx, status, detail)
	for _, err := range errs {
		if d, ok := err.(huma.ErrorDetailer); ok {
			p.Errors = append(p.Errors, problemDetail{Location: d.ErrorDetail().Location, Message: d.ErrorDetail().Message})
		}
	}
	return p
}

// writeProblem answers with a problem outside of Huma.
func writeProblem(w http.ResponseWriter, r *http.Request, p *problem) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	if err := json.NewEncoder(w).Encode(p); err != nil {
		logger(r.Context()).LogAttrs(r.Context(), slog.LevelDebug, "problem not delivered", slog.Any("error", err))
	}
}
