package binance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
)

// maxBody bounds an answer in bytes; a page of candles has some 190,000.
const maxBody = 1 << 20

// answers is the http.RoundTripper between go-binance and the governor. It reads
// an answer whole and looks at all that go-binance loses: the status, whether
// the body came to its end, and whose answer it is. A redirect is refused like
// any status but 200, so that the key goes to no other host.
type answers struct {
	next   http.RoundTripper
	apiKey string
	origin atomic.Pointer[history.Origin] // by the last answer; nil before the first
}

var errSlow = fmt.Errorf("it took longer than %s", bodyTimeout)

// kept is what an answer held that go-binance would lose.
type kept struct {
	body string
	date time.Time // when it was made by the exchange's clock, rounded down to a second; zero where it does not tell
}

// keptKey is the context's key for a *kept that is to receive it.
type keptKey struct{}

// keeping has the answer put into k and go-binance given an empty array in its
// place. Its decoding of candles takes three times as long as decodeKlines and
// lets a wrong type pass as 0 or "".
func keeping(ctx context.Context, k *kept) context.Context {
	return context.WithValue(ctx, keptKey{}, k)
}

func (a *answers) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(request.Context())
	defer cancel(nil)
	host := request.URL.Host
	forwarded := request.Clone(ctx)
	if a.apiKey != "" {
		forwarded.Header.Set("X-Mbx-Apikey", a.apiKey)
	}
	response, err := a.next.RoundTrip(forwarded)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	slow := time.AfterFunc(bodyTimeout, func() { cancel(errSlow) })
	defer slow.Stop()
	body, err := readBody(response)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx) // net/http would say canceled
		}
		return nil, unreachable(request.Context(), host, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, refusal(request.URL, response.StatusCode, body)
	}
	origin := history.Real
	if headerValue(response.Header, history.SimulatedHeader) != "" {
		origin = history.Simulated
	}
	a.origin.Store(&origin)
	if answer, ok := ctx.Value(keptKey{}).(*kept); ok {
		answer.body = string(body)
		answer.date, _ = dateOf(response.Header)
		body = []byte("[]")
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	response.ContentLength = int64(len(body))
	return response, nil
}

func readBody(response *http.Response) ([]byte, error) {
	var body bytes.Buffer
	body.Grow(int(min(max(response.ContentLength, 0), maxBody)) + bytes.MinRead) // ReadFrom wants room to see the end
	if _, err := body.ReadFrom(io.LimitReader(response.Body, maxBody+1)); err != nil {
		return nil, err
	}
	if body.Len() > maxBody {
		return nil, fmt.Errorf("it is longer than %d bytes", maxBody)
	}
	return body.Bytes(), nil
}
