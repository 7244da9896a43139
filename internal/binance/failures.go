package binance

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// unreachable makes an Unavailable error of one of net/http, unless it is the
// caller who has gone.
func unreachable(ctx context.Context, host string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return market.Errorf(market.Unavailable, "no whole answer came from %s: %s", host, printable(err.Error()))
}

// unknownSymbol is Binance's code for a symbol that it does not have. Codes from
// -1000 to -1099 tell of trouble on its side.
const unknownSymbol = -1121

// refusal says what an answer of another status than 200 means and what to do.
func refusal(asked *url.URL, status int, body []byte) error {
	var said struct {
		Code    int    `json:"code"`
		Message string `json:"msg"`
	}
	// Where it is no JSON, a page of a firewall perhaps, the status says it all.
	_ = json.Unmarshal(body, &said)
	host := asked.Host
	switch {
	case status == http.StatusUnavailableForLegalReasons:
		return market.Errorf(market.Forbidden,
			"%s does not serve the region that this machine is in (451): set BINANCE_REST_URL to a host that does; %s serves market data only and is refused to fewer regions",
			host, DefaultRESTURL)
	case status == http.StatusForbidden:
		return market.Errorf(market.Forbidden,
			"the firewall of %s blocks this machine (403): wait some minutes before you try again, and see what else asks the exchange from this address", host)
	case status == http.StatusUnauthorized:
		return market.Errorf(market.Forbidden, "%s refuses the key (401): correct BINANCE_API_KEY, or leave it unset, since no key is needed", host)
	case status >= 500, status == http.StatusRequestTimeout, said.Code <= -1000 && said.Code > -1100:
		return market.Errorf(market.Unavailable, "%s has trouble of its own (%d, code %d, %s)", host, status, said.Code, quote(said.Message))
	case said.Code == unknownSymbol:
		return market.Errorf(market.NotFound, "the exchange does not know the symbol %s", quote(asked.Query().Get("symbol")))
	case status >= 400 && status != http.StatusNotFound:
		return market.Errorf(market.Internal, "%s refuses our request (%d, code %d, %s)", host, status, said.Code, quote(said.Message))
	default:
		return market.Errorf(market.Invalid, "%s answers %s with status %d, as Binance's REST interface does not: correct BINANCE_REST_URL",
			host, asked.Path, status)
	}
}

// failure returns what is wrong when a call of go-binance failed.
func failure(err error) error {
	if transport, ok := errors.AsType[*url.Error](err); ok {
		return transport.Err // ours: answers and governor make no other
	}
	return market.Errorf(market.Unavailable, "the answer is malformed: %s", printable(err.Error()))
}

// printable makes foreign text safe and short enough for a message without
// quoting it.
func printable(text string) string {
	const limit = 200
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, text)
	if len(text) > limit {
		return strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}
